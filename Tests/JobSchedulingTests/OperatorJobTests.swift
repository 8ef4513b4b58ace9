import Datasets
import Groundwork
import JobScheduling
import Synchronization
import SystemInterfaces
import Testing

/// Operators that bring stages of their own, and what tasks learn of themselves, under the scheduler itself.
@Suite struct OperatorJobTests {
  @Test func aSortIsASampleAShuffleAndAReduce() throws {
    let workshop = Workshop()
    let source = workshop.context.range(500, partitionCount: 4).map { ($0 * 7919 % 500, $0) }
    let sorted = source.sortByKey(partitions: 3)
    let end = try workshop.run(sorted.keys())
    #expect(end.elements(Int.self) == Array(0..<500))
    #expect(end.metrics.stages == 3)
    #expect(end.metrics.tasks == 4 + 4 + 3)
    let again = try workshop.run(sorted.filterByRange(100, 120).keys())
    #expect(again.elements(Int.self) == Array(100...120))
    #expect(again.metrics.stages == 1, "bounds and shuffle are there")
  }

  @Test func indicesAreCountedByAStageOfTheSameJob() throws {
    let workshop = Workshop()
    let end = try workshop.run(
      workshop.context.range(100, partitionCount: 4).filter { $0 % 3 == 0 }.zipWithIndex().map { $0.0 == $0.1 * 3 })
    #expect(end.elements(Bool.self) == [Bool](repeating: true, count: 34))
    #expect(end.metrics.stages == 2)
    #expect(end.metrics.tasks == 8)
  }

  @Test func tasksKnowThemselvesAndHearOfTheirEnd() throws {
    let workshop = Workshop()
    let log = Mutex<[String]>([])
    let dataset = workshop.context.range(4, partitionCount: 2).mapPartitions { elements, task in
      let name = "\(task.partition).\(task.attempt)"
      task.addCompletionListener { task in
        log.withLock { $0.append("\(name) completed, failed \(task.failure != nil)") }
      }
      task.addFailureListener { _, error in log.withLock { $0.append("\(name) \(error)") } }
      if task.partition == 1 && task.attempt == 0 { throw Trouble(description: "first attempt") }
      return ["\(task.localProperty("color") ?? "none") \(task.stage) \(elements)"]
    }
    workshop.context.setLocalProperty("color", "blue")
    #expect(
      try workshop.context.runner.run(dataset, partitions: [0, 1], label: "colors") { dataset, partition, task in
        var lines: [String] = []
        try dataset.compute(partition, task) { lines += $0 }
        return lines
      } == [["blue 1 [0, 1]"], ["blue 1 [2, 3]"]])
    #expect(
      log.withLock { $0 } == [
        "0.0 completed, failed false", "1.0 \(Trouble(description: "first attempt"))", "1.0 completed, failed true",
        "1.1 completed, failed false",
      ])
  }

  @Test func actionsThatDoNotWaitReportOnTheLoop() throws {
    let workshop = Workshop()
    let log = Mutex<[String]>([])
    workshop.context.range(1000, partitionCount: 8).takeAsync(600) { result in
      let count = (try? result.get())?.count ?? -1
      log.withLock { $0.append("take \(count)") }
    }
    let cancelled = workshop.context.range(10).map { $0 }.countAsync { result in
      if case .failure = result { log.withLock { $0.append("count was stopped") } }
    }
    cancelled.cancel(reason: "no need")
    #expect(log.withLock { $0.isEmpty }, "never inside the call")
    workshop.loop.run()
    #expect(log.withLock { $0.sorted() } == ["count was stopped", "take 600"])
    workshop.expectIdle()
  }

  /// Upper-cases its input, a turn of the loop later; fails as often as it is told.
  final class Shouting: CommandRunner {
    let loop: HandLoop
    let failures: Mutex<Int>
    let runs = Mutex<[String]>([])
    init(_ loop: HandLoop, failures: Int = 0) {
      self.loop = loop
      self.failures = Mutex(failures)
    }

    func run(
      _ command: [String], environment: [String: String], input: Bytes,
      then: @escaping @Sendable (Result<Bytes, any Error>) -> Void
    ) {
      let fails = failures.withLock { failures in
        failures -= 1
        return failures >= 0
      }
      runs.withLock { $0.append("\(command.joined(separator: " ")) \(environment) \(input.count)") }
      loop.post {
        then(fails ? .failure(Trouble(description: "exit code 1")) : .success(Bytes(String(input).uppercased())))
      }
    }
  }

  @Test func partitionsGoThroughACommandWithoutBlockingATask() throws {
    let workshop = Workshop()
    let computed = Tally()
    let shouting = Shouting(workshop.loop, failures: 1)
    workshop.context.attach(shouting)
    let words = workshop.context.parallelize(["a", "", "c", "d e"], partitionCount: 2).map { word in
      computed.add(0)
      return word
    }
    let piped = words.pipe(["tr", "a-z", "A-Z"], environment: ["X": "1"]).map { $0 + "!" }
    let end = try workshop.run(piped)
    #expect(end.elements(String.self) == ["A!", "!", "C!", "D E!"])
    #expect(end.metrics.inputsFetched == 3)
    #expect(end.metrics.attemptsFailed == 1)
    #expect(computed[0] == 6, "once a partition, and once more for the command that failed")
    #expect(shouting.runs.withLock { $0.first } == "tr a-z A-Z [\"X\": \"1\"] 3")
    // What was read is not kept.
    #expect(try workshop.run(piped).metrics.inputsFetched == 2)
    let twice = words.pipe(["one"]).pipe(["two"])
    #expect(try workshop.run(twice.filter { $0.isEmpty }).elements(String.self) == [""])
    let many = workshop.context.range(5000, partitionCount: 1).pipe(["seq"]) { Bytes("\($0)") }
    #expect(try workshop.run(many).elements(Bytes.self) == (0..<5000).map { Bytes("\($0)") })
    #expect(try workshop.run(workshop.context.empty(of: String.self).pipe(["none"])).elements(String.self) == [])
  }

  @Test func aContextWithoutCommandsSaysSo() throws {
    let workshop = Workshop()
    let end = try workshop.run(workshop.context.parallelize(["a"]).pipe(["tr"]))
    #expect(end.failure?.description.contains("this context cannot run commands") == true)
    let none = try workshop.run(workshop.context.parallelize(["a"]).pipe([]))
    #expect(none.failure?.description.contains("name a command") == true)
  }
}
