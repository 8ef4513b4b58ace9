import Datasets
import Groundwork
import Synchronization
import Testing

/// What task code learns of its task, and actions that do not wait.
@Suite struct TaskTests {
  final class Log: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
  }

  @Test func listenersHearOfTheEndInReverse() {
    struct Trouble: Error {}
    let log = Log()
    let task = PlainRunner.task(partition: 4, attempt: 2)
    #expect([task.partition, task.attempt, task.stage] == [4, 2, 1])
    task.addCompletionListener { log.add("completion 1, completed \($0.isCompleted)") }
    task.addCompletionListener { _ in log.add("completion 2") }
    task.addFailureListener { task, error in log.add("failure 1 \(error), completed \(task.isCompleted)") }
    task.addFailureListener { _, _ in log.add("failure 2") }
    #expect(!task.isCompleted)
    task.complete(Trouble())
    task.complete(nil)
    #expect(
      log.all == [
        "failure 2", "failure 1 Trouble(), completed false", "completion 2", "completion 1, completed true",
      ])
    task.addCompletionListener { _ in log.add("late completion") }
    task.addFailureListener { _, _ in log.add("late failure") }
    #expect(log.all.suffix(2) == ["late completion", "late failure"])
    #expect(task.failure is Trouble)

    let good = PlainRunner.task(partition: 0)
    good.addFailureListener { _, _ in log.add("never") }
    good.complete(nil)
    good.addFailureListener { _, _ in log.add("never") }
    #expect(good.isCompleted && good.failure == nil)
    #expect(!log.all.contains("never"))
  }

  @Test func actionsThatDoNotWaitGiveWhatTheOthersGive() throws {
    for seed in seeds {
      var generated = Generated(seed: seed)
      let numbers = generated.numbers()
      let dataset = generated.dataset(numbers)
      let log = Log()
      let seen = Mutex<[Int]>([])
      dataset.countAsync { log.add("count \((try? $0.get()) ?? -1)") }
      dataset.collectAsync { log.add("collect \((try? $0.get()) ?? [])") }
      for count in [0, 5, 4000] { dataset.takeAsync(count) { log.add("take \((try? $0.get()) ?? [-1])") } }
      dataset.foreachAsync { value in
        seen.withLock { $0.append(value) }
      } then: { _ in
        log.add("foreach")
      }
      let action = dataset.foreachPartitionAsync { elements, _ in
        seen.withLock { $0 += elements }
      } then: { _ in
        log.add("foreachPartition")
      }
      #expect(log.all.isEmpty, "never inside the call")
      #expect(!action.isDone)
      generated.runner.runSubmitted()
      #expect(action.isDone)
      #expect(
        log.all.sorted()
          == [
            "count \(numbers.count)", "collect \(numbers)", "take []", "take \(Array(numbers.prefix(5)))",
            "take \(Array(numbers.prefix(4000)))", "foreach", "foreachPartition",
          ].sorted(), "seed \(seed)")
      #expect(seen.withLock { $0 } == numbers + numbers)
    }
  }

  @Test func anActionThatIsCancelledSaysSo() {
    let runner = PlainRunner()
    let dataset = SluiceContext(runner: runner, defaultParallelism: 2).range(10)
    let log = Log()
    let action = dataset.takeAsync(9) { result in
      if case .failure(let error) = result { log.add("\(error)") }
    }
    action.cancel(reason: "no need")
    runner.runSubmitted()
    #expect(log.all == ["Cancelled(reason: \"no need\")"])
    #expect(action.isDone)
    action.cancel()
    runner.runSubmitted()
    #expect(log.all.count == 1)
  }

  @Test func anErrorComesToTheFunction() {
    struct Trouble: Error {}
    let runner = PlainRunner()
    let dataset = SluiceContext(runner: runner, defaultParallelism: 2).range(10).map { value in
      if value == 7 { throw Trouble() }
      return value
    }
    let log = Log()
    dataset.countAsync { result in
      if case .failure(let error) = result { log.add("\(error)") }
    }
    dataset.takeAsync(9) { result in
      if case .failure(let error) = result { log.add("take \(error)") }
    }
    runner.runSubmitted()
    #expect(log.all == ["Trouble()", "take Trouble()"])
  }

  @Test func anIteratorComputesAPartitionAtATime() throws {
    let runner = PlainRunner()
    var iterator = SluiceContext(runner: runner, defaultParallelism: 2).range(9, partitionCount: 3).toLocalIterator()
    #expect(runner.resultTasks == 0)
    var tasks: [Int] = []
    while try iterator.next() != nil { tasks.append(runner.resultTasks) }
    #expect(tasks == [1, 1, 1, 2, 2, 2, 3, 3, 3])
    #expect(try iterator.next() == nil)
  }

  @Test func aDatasetSampledTwiceIsSampledAlike() throws {
    let context = SluiceContext(runner: PlainRunner(seed: 3), defaultParallelism: 4)
    let sample = context.range(10_000).sample(fraction: 0.1, seed: 5)
    #expect(try sample.collect() == sample.collect())
    #expect(try sample.collect() != context.range(10_000).sample(fraction: 0.1, seed: 6).collect())
    let halves = context.range(10_000).randomSplit([0.5, 0.5], seed: 5)
    #expect(try halves[0].intersection(halves[1]).count() == 0)
  }
}
