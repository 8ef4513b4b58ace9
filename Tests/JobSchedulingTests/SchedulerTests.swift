import Datasets
import Groundwork
import JobScheduling
import Synchronization
import SystemInterfaces
import Testing

/// The scheduler turned by hand: when each stage runs, what is run again and what is not.
@Suite struct SchedulerTests {
  @Test func resultsComeInTheOrderOfThePartitionsAskedFor() throws {
    let workshop = Workshop()
    let end = try workshop.run(workshop.context.parallelize(0..<10, partitionCount: 5), partitions: [3, 0])
    #expect(end.elements(Int.self) == [6, 7, 0, 1])
    #expect(end.metrics.stages == 1)
    #expect(end.metrics.tasks == 2)
    #expect(end.metrics.recordsRead == 4)
    #expect(workshop.runner.waves == [2])
  }

  @Test func aJobOfNoPartitionsEndsLater() throws {
    let workshop = Workshop()
    let log = JobLog()
    workshop.submit(workshop.context.parallelize(0..<10), partitions: [], into: log)
    #expect(log.labels.isEmpty, "never inside the call")
    workshop.loop.run()
    #expect(log.last?.elements(Int.self) == [])
    #expect(workshop.runner.waves.isEmpty)
    workshop.expectIdle()
  }

  @Test func aPartitionThatIsNotThereIsSaid() throws {
    let workshop = Workshop()
    let end = try workshop.run(workshop.context.parallelize(0..<10, partitionCount: 2), partitions: [2], label: "odd")
    #expect(
      end.failure?.description
        == "job 'odd' of batch 7 asks for partition 2, but its dataset has 2, numbered from 0")
  }

  @Test func stagesAreCutAtShufflesOnly() throws {
    let workshop = Workshop()
    let pairs = workshop.context.parallelize(0..<100, partitionCount: 4).map { ($0 % 10, $0) }.filter { $0.1 >= 0 }
    let end = try workshop.run(pairs.reduceByKey(partitions: 3, +).mapValues { $0 * 2 })
    #expect(end.metrics.stages == 2)
    #expect(end.metrics.tasks == 7)
    #expect(workshop.runner.waves == [4, 3])
    let sums = Dictionary(uniqueKeysWithValues: end.elements((Int, Int).self) ?? [])
    #expect(sums == Dictionary(uniqueKeysWithValues: (0..<10).map { key in (key, 2 * (450 + 10 * key)) }))
  }

  @Test func aShuffleWhoseOutputIsThereIsSkipped() throws {
    let workshop = Workshop()
    let computed = Tally()
    let source = workshop.context.parallelize(0..<10, partitionCount: 2).map { value in
      computed.add(value)
      return (value % 2, value)
    }
    let sums = source.reduceByKey(+)
    #expect(try workshop.run(sums).metrics.stages == 2)
    let again = try workshop.run(sums.mapValues { $0 + 1 })
    #expect(again.metrics.stages == 1)
    #expect(again.metrics.stagesSkipped == 1)
    #expect(computed.total == 10, "the source was computed once")
  }

  @Test func aShuffleReadTwiceRunsOnceAndStagesThatAreReadyTogetherShareAWave() throws {
    let workshop = Workshop()
    let computed = Tally()
    let sums = workshop.context.parallelize(0..<10, partitionCount: 2).map { value in
      computed.add(value)
      return (value % 2, value)
    }.reduceByKey(+)
    let other = workshop.context.parallelize(0..<6, partitionCount: 3).map { ($0 % 2, $0) }.reduceByKey(+)
    let end = try workshop.run(sums.union(sums).union(other))
    #expect(computed.total == 10)
    #expect(end.metrics.stages == 3)
    #expect(workshop.runner.waves == [5, 2])
    #expect(end.elements((Int, Int).self)?.map(\.1).reduce(0, +) == 45 + 45 + 15)
  }

  @Test func chainsOfShufflesRunFromTheBeginning() throws {
    let workshop = Workshop()
    let first = workshop.context.parallelize(0..<100, partitionCount: 4).map { ($0 % 10, 1) }.reduceByKey(+)
    let second = first.map { (key, count) in (key % 2, count) }.reduceByKey(+)
    let end = try workshop.run(second.map { (key, count) in (0, count) }.reduceByKey(partitions: 1, +))
    #expect(end.metrics.stages == 4)
    #expect(workshop.runner.waves == [4, 2, 2, 1])
    #expect(end.elements((Int, Int).self)?.first?.1 == 100)
  }

  @Test func concurrentJobsShareARunningShuffle() throws {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let computed = Tally()
    let sums = workshop.context.parallelize(0..<10, partitionCount: 2).map { value in
      computed.add(value)
      return (value % 2, value)
    }.reduceByKey(+)
    let log = JobLog()
    workshop.submit(sums, label: "first", into: log)
    workshop.submit(sums.mapValues { -$0 }, label: "second", into: log)
    #expect(workshop.runner.waves == [2], "the second job waits for the first one's stage")
    while workshop.runner.heldWaves > 0 {
      workshop.runner.release()
      workshop.loop.run()
    }
    #expect(log.labels == ["first", "second"])
    #expect(computed.total == 10)
    workshop.expectIdle()
  }

  @Test func jobsStartInTheOrderOfSubmission() throws {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    let log = JobLog()
    for number in 0..<5 { workshop.submit(workshop.context.parallelize(0..<4), label: "\(number)", into: log) }
    while workshop.runner.heldWaves > 0 {
      workshop.runner.release()
      workshop.loop.run()
    }
    #expect(log.labels == ["0", "1", "2", "3", "4"])
    workshop.expectIdle()
  }

  @Test func aLineageOf100000OperatorsIsPlannedAndReleased() throws {
    let workshop = Workshop()
    let planned = workshop.context.parallelize(0..<2, partitionCount: 1)
    var dataset = planned
    for _ in 0..<100_000 { dataset = dataset.map { $0 + 1 } }
    // The end of the lineage computes nothing, so that only planning is at stake.
    let last = RDD<Int>(
      workshop.context, label: "end", partitionCount: 1, dependencies: [.narrow(dataset)],
      compute: { _, _, emit in try [1].withUnsafeBufferPointer { try emit($0) } })
    #expect(last.weight(of: 0) > 100_000)
    #expect(try workshop.run(last).elements(Int.self) == [1])
    #expect(last.toDebugString().utf8.count > 100_000)
    dataset = planned
  }

  @Test func actionsWaitOnTheLoop() throws {
    let workshop = Workshop()
    let numbers = workshop.context.parallelize(0..<1000, partitionCount: 4)
    #expect(try numbers.filter { $0 % 2 == 0 }.count() == 500)
    #expect(try numbers.collect() == Array(0..<1000))
    workshop.expectIdle()
  }

  @Test func anActionInsideATaskOrOnAnotherThreadIsRefused() throws {
    let workshop = Workshop()
    let numbers = workshop.context.parallelize(0..<10, partitionCount: 2)
    let end = try workshop.run(numbers.map { value in try numbers.count() + value })
    #expect("\(try #require(end.failure))".contains("call them in foreachRDD or main"))
    workshop.loop.isCurrent = false
    #expect(throws: JobFailure.self) { try numbers.count() }
  }

  @Test func anActionOnAStoppedLoopGivesUp() throws {
    let workshop = Workshop()
    workshop.runner.isHolding = true
    workshop.loop.stop()
    #expect(throws: JobFailure.self) { try workshop.context.parallelize(0..<10).count() }
  }

  @Test func takeComputesNoMoreThanItNeeds() throws {
    let workshop = Workshop()
    let numbers = workshop.context.parallelize(0..<100, partitionCount: 10).map { value in
      if value >= 50 { throw Trouble(description: "computed for nothing") }
      return value
    }
    #expect(try numbers.take(3) == [0, 1, 2])
    #expect(try numbers.take(15) == Array(0..<15), "one partition, then four")
    #expect(try numbers.first() == 0)
    #expect(try !numbers.isEmpty())
    #expect(throws: JobFailure.self) { try numbers.take(51) }
    workshop.expectIdle()
  }

  @Test func randomNumbersAreThoseOfTheReplay() throws {
    func draw(attempts: Int) throws -> [UInt64]? {
      let workshop = Workshop()
      let tries = Tally()
      let drawn = workshop.context.parallelize(0..<4, partitionCount: 4).mapPartitions { _, task in
        if tries.add(task.partition) < attempts { throw Trouble(description: "once more") }
        return [task.nextRandom()]
      }
      let again = drawn.keyBy { $0 }.reduceByKey(partitions: 1) { $1 }.mapPartitions { pairs, task in
        pairs.map(\.0) + [task.nextRandom()]
      }
      return try workshop.run(again).elements(UInt64.self)
    }
    let first = try draw(attempts: 1)
    #expect(first == (try draw(attempts: 3)))
    #expect(Set(first ?? []).count == 5, "each task draws its own")
  }
}
