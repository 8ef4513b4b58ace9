import Datasets
import Groundwork
import KafkaProtocol
import Simulation
import Streaming
import Testing

@testable import KafkaStreaming

/// Bytes that are gone when a task wants them are fetched again, once.
@Suite struct EvictionTests {
  private func source(_ job: PathJob) -> KafkaSource { job.context.sources.compactMap { $0 as? KafkaSource }[0] }

  @Test(arguments: [SimulatedRunner.Mode.atOnce, .spread]) func evictedBeforeTheTaskBegins(
    _ mode: SimulatedRunner.Mode
  ) throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    let values = (0..<50).map { "v\($0)" }
    try path.produce("in", partitions: 2, values: values)
    let box = Cell<KafkaSource?>(nil)
    let job = try PathJob(path, availableNow: true, mode: mode) { context in
      let stream = context.topicStream("in")
      // An output before: its memory pressure takes the bytes away.
      stream.foreachRDD { _ in box.value?.fetched.evictAll() }
      stream.saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
    box.value = source(job)
    #expect(try job.run() == ["ended"])
    #expect(try path.values("out") == values.sorted())
    let batches = job.batches.filter { $0.numRecords > 0 }.count
    #expect(batches == 1 && job.jobs.inputsFetched.value == 2)
    #expect(job.jobs.attemptsFailed.value == 0)
  }

  @Test func evictedWhileATaskRuns() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    let values = (0..<50).map { "v\($0)" }
    try path.produce("in", partitions: 2, values: values)
    let box = Cell<KafkaSource?>(nil)
    let hasEvicted = Cell(false)
    let job = try PathJob(path, availableNow: true, executors: 1) { context in
      context.topicStream("in").map { (record: ConsumerRecord) -> Bytes in
        if !hasEvicted.value {
          hasEvicted.value = true
          box.value?.fetched.evictAll()
        }
        return record.value
      }.saveToTopic("out") { ProducerRecord(value: $0) }
    }
    box.value = source(job)
    #expect(try job.run() == ["ended"])
    #expect(try path.values("out") == values.sorted())
    // The task that had begun holds its bytes; the other one's were fetched again.
    #expect(job.jobs.inputsFetched.value == 1)
  }

  @Test func windowsFetchWhatWasEvicted() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    let box = Cell<KafkaSource?>(nil)
    let windows = Cell<[[String]]>([])
    let job = try PathJob(path) { context in
      context.topicStream("in").window(.seconds(3), slide: .seconds(3)).map { String($0.value) }
        .foreachRDD { window in
          box.value?.fetched.evictAll()
          windows.value.append(try window.collect().sorted())
        }
    }
    box.value = source(job)
    try job.start()
    for round in 0..<9 {
      try path.produce("in", values: ["\(round)"])
      try job.advance()
    }
    try job.advance(6)
    try job.stop()
    #expect(windows.value.flatMap { $0 } == (0..<9).map { "\($0)" })
    #expect(job.jobs.inputsFetched.value > 0)
  }

  /// A range that begins and ends inside record batches is fetched again as the same records.
  @Test func aCutRangeIsFetchedAgainExactly() throws {
    let path = try PathHarness()
    try path.createTopic("in")
    try path.produce("in", batches: [path.batch((0..<100).map { Row(value: "\($0)") }, codec: .zstd)])
    let box = Cell<KafkaSource?>(nil)
    let job = try PathJob(path, settings: ["sluice.kafka.maxRatePerPartition": "7"], availableNow: true) { context in
      let stream = context.topicStream("in")
      stream.foreachRDD { _ in box.value?.fetched.evictAll() }
      stream.saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
    box.value = source(job)
    #expect(try job.run() == ["ended"])
    #expect(try path.readAll("out").map { $0.value! } == (0..<100).map { "\($0)" })
    #expect(job.jobs.inputsFetched.value == 15)
  }

  @Test func theStoreKeepsToItsLimitAndForgets() {
    func block(_ from: Int64, bytes: Int, number: BatchNumber) -> FetchedBatches.Block {
      FetchedBatches.Block(
        range: OffsetRange(TopicPartition("t", 0), from: Offset(from), until: Offset(from + 10)), batches: [],
        bytes: bytes, number: number)
    }
    let store = FetchedBatches(bytesMax: 100)
    for index in 0..<10 { store.insert(block(Int64(index) * 10, bytes: 30, number: BatchNumber(Int64(index)))) }
    #expect(store.bytes == 90)
    #expect(store.batches(block(60, bytes: 0, number: 6).range) == nil)
    #expect(store.batches(block(70, bytes: 0, number: 7).range) != nil)
    // What is fetched again replaces itself and is counted once.
    store.insert(block(90, bytes: 40, number: 9))
    #expect(store.bytes == 100)
    // One block beyond the limit stays: the next task wants it.
    store.insert(block(200, bytes: 500, number: 10))
    #expect(store.bytes == 500)
    store.insert(block(210, bytes: 5, number: 11))
    #expect(store.bytes == 5)
    store.forget(through: 10)
    #expect(store.bytes == 5)
    store.forget(through: 11)
    #expect(store.bytes == 0)
  }
}
