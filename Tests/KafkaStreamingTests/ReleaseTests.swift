import Groundwork
import KafkaClients
import Simulation
import Streaming
import Testing

@testable import KafkaStreaming

/// What a job on topics was made of is freed when it has ended: its client and fetchers with it.
@Suite struct ReleaseTests {
  @Test(arguments: [false, true], [false, true]) func everythingGoes(isTransactional: Bool, isKilled: Bool) throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 2)
    try path.createTopic("table")
    try path.produce("in", partitions: 2, values: ["a", "b", "a"])
    try path.produce("table", [Row(key: "a", value: "1")])
    let left = Cell<[() -> String?]>([])
    try run(path, left, isTransactional: isTransactional, isKilled: isKilled)
    if isKilled { path.simulation.end() }
    #expect(left.value.count == 9)
    #expect(left.value.compactMap { $0() } == [])
  }

  private func run(_ path: PathHarness, _ left: Cell<[() -> String?]>, isTransactional: Bool, isKilled: Bool) throws {
    func watch(_ name: String, _ object: AnyObject) {
      left.value.append { [weak object] in object == nil ? nil : name }
    }
    let job = try PathJob(
      path, settings: ["sluice.streaming.guarantee": isTransactional ? "exactly-once" : "at-least-once"],
      checkpoint: "/state/job"
    ) { context in
      let input = context.topicStream("in")
      _ = context.topicTable("table", key: { String($0) }, value: { String($0.value) })
      input.map { (String($0.value), 1) }.updateStateByKey { values, state in (state ?? 0) + values.count }
        .saveToTopic("out") { ProducerRecord(key: Bytes($0.0), value: Bytes("\($0.1)")) }
      input.map { String($0.value) }.foreachRDD { words in _ = try words.count() }
    }
    let connection = try job.context.kafka()
    watch("context", job.context)
    watch("scheduler", job.context.environment.scheduler)
    watch("connection", connection)
    watch("client", connection.client)
    watch("producer", connection.producer)
    watch("decider", connection.transactions)
    for source in job.context.sources { watch(source.name, source) }
    try job.start()
    try job.advance(3)
    #expect(try path.values("out").contains("2"))
    watch("fetcher", try #require((job.context.sources.first as? KafkaSource)?.fetcher))
    if isKilled {
      job.process.kill()
    } else {
      try job.stop()
      // What is on its way to the loops and timers that were set.
      try path.simulation.run(for: .seconds(70))
    }
  }
}
