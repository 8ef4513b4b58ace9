import Datasets
import Groundwork
import KafkaStreaming
import Simulation
import Streaming
import Testing

/// Lines that are played into a topic while a job reads it.
@Suite struct PlayTests {
  private func job(_ path: PathHarness, _ lines: [String], thenStop: Bool) throws -> PathJob {
    try PathJob(path, interval: .milliseconds(500)) { context in
      context.createTopic("played", partitions: 3)
      context.play(lines.map { Bytes($0) }, into: "played", over: .seconds(5), thenStop: thenStop)
      context.topicStream("played").saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
  }

  @Test(arguments: [0.0, 0.02]) func aPlayedJobEndsWithAllLines(rate: Double) throws {
    let lines = (0..<1000).map { "line \($0)" }
    for seed in UInt64(1)...5 {
      let path = try PathHarness(seed: seed)
      let start = path.simulation.now
      path.simulation.network.conditions = .hostile(rate)
      let job = try job(path, lines, thenStop: true)
      #expect(try job.run() == ["ended"])
      path.simulation.network.conditions = NetworkConditions()
      #expect(try path.values("played") == lines.sorted())
      #expect(Set(try path.values("out")) == Set(lines))
      #expect((path.simulation.now - start) >= .seconds(5))
      // They came over the whole time, evenly.
      #expect(job.batches.filter { $0.numRecords > 0 }.count >= 8)
    }
  }

  @Test func withoutAStopTheJobGoesOn() throws {
    let path = try PathHarness()
    let job = try job(path, ["a", "b"], thenStop: false)
    try job.start()
    try path.simulation.run(for: .seconds(20))
    #expect(!job.hasEnded)
    try job.stop()
    #expect(try path.values("out") == ["a", "b"])
  }

  @Test func noLinesEndAtOnce() throws {
    let path = try PathHarness()
    #expect(try job(path, [], thenStop: true).run() == ["ended"])
  }
}
