import Datasets
import Groundwork
import KafkaStreaming
import Simulation
import Streaming
import SystemInterfaces

@testable import FileStreaming

/// A job copies the topic `in` to the topic `out` and into files. In the end this must hold:
/// - every record that was acknowledged is in the input, exactly once, in the order in which it was sent;
/// - every record of the input is in the output, in the topic once where the job's batches are transactions, else at least
///   once, and nothing that is not in the input is there;
/// - no batch left out an offset, within a run of the job and from one run to the next;
/// - the group's offsets stand at the end of the input.
final class FaultyPath: FaultyWorld {
  /// How the job copies: 0 as it comes, 1 through a shuffle, 2 as it comes and into files.
  private let way: Int
  private let mode: SimulatedRunner.Mode
  private let rate: String?
  private let isExactlyOnce: Bool
  /// Batches at once.
  private let concurrency: Int
  /// Whether a batch is computed while the one before is committed; some intervals are shorter than a commit.
  private let pipelining: Bool
  private let interval: Duration

  init(seed: UInt64) throws {
    var random = SeededRandom(seed: seed ^ 0xFA17)
    let path = try PathHarness(seed: seed)
    way = Int(random.next() % 3)
    mode = random.next() % 2 == 0 ? .atOnce : .spread
    rate = random.next() % 3 == 0 ? "\(Int.random(in: 1...40, using: &random))" : nil
    if random.next() % 3 == 0 { path.simulation.postDelayMax = .microseconds(300) }
    var coin = SeededRandom(seed: seed ^ 0xE0)
    isExactlyOnce = coin.next() % 2 == 0
    // Files are exactly-once.
    concurrency = isExactlyOnce || way == 2 ? 1 : Int(coin.next() % 4) + 1
    var other = SeededRandom(seed: seed ^ 0x0E11)
    pipelining = other.next() % 4 > 0
    interval = .milliseconds(other.next() % 3 > 0 ? 200 : Int64(other.next() % 20 + 4))
    super.init(path, random)
  }

  override var summary: String {
    "way \(way), rate \(rate ?? "none"), exactly once \(isExactlyOnce), \(concurrency) at once, every \(interval.text)"
      + (pipelining ? ", pipelining" : "")
  }
  override func createTopics() throws { try path.createTopic("out", partitions: 3) }

  // MARK: Faults

  override func planFaults() {
    for _ in 0..<draw(0...2) { add(.killBroker, within: 4000, then: .startBroker, after: 1...1500) }
    for _ in 0..<draw(0...2) { add(.killJob, within: 4000, then: .startJob, after: 1...1000) }
    for _ in 0..<draw(0...1) { add(.killLoader, within: 4000, then: .startLoader, after: 1...500) }
    for _ in 0..<draw(0...3) { add(.killJobInBatch, within: 4000) }
    for _ in 0..<draw(0...2) { add(.killBrokerInBatch, within: 4000) }
    for _ in 0..<draw(0...1) { add(.tearBrokerWrite, within: 4000) }
    if draw(0...3) == 0 { add(.failJobDisk, within: 4000) }
    if draw(0...3) == 0 { add(.partition, within: 4000, then: .heal, after: 1...4000) }
    if draw(0...5) == 0 { add(.jumpClock, within: 4000) }
  }

  /// In the commit log, or in a part file.
  override func jobDiskFault(_ code: FileError.Code) -> DiskFault {
    DiskFault(
      .write, after: draw(0...4), pathContains: way == 2 ? "_temporary" : "commits", code: code, isTorn: true)
  }

  /// A torn write that has not struck does so now.
  override func settle() throws {
    var rounds = 0
    while path.brokerDisk.pendingFaults + jobDisk.pendingFaults > 0, rounds < 300 {
      startBroker()
      startLoader()
      send(2)
      try path.simulation.run(for: .milliseconds(100))
      revive()
      rounds += 1
    }
    try path.simulation.run(for: .seconds(1))
    revive()
  }

  override var keepsLastRun: Bool { true }
  /// A write that failed before may end the job only now: it waited for its offsets. A request for a producer id that was
  /// given up and sent anew may arrive late, and then shuts out the one who sent it.
  override func mayEnd(_ reason: String) -> Bool {
    reason.contains("/state/job/commits cannot be written")
      || isExactlyOnce && reason.contains("a newer producer")
  }
  override func finish() throws { try endJob() }

  override func makeJob() throws -> PathJob {
    var settings = ["sluice.streaming.guarantee": isExactlyOnce ? "exactly-once" : "at-least-once"]
    settings["sluice.kafka.maxRatePerPartition"] = rate
    settings["sluice.streaming.concurrentJobs"] = "\(concurrency)"
    settings["sluice.streaming.pipelining"] = "\(pipelining)"
    return try PathJob(
      path, interval: interval, settings: settings, checkpoint: "/state/job", mode: mode, disk: jobDisk
    ) { context in
      let stream = context.topicStream("in")
      switch way {
      case 1:
        stream.map { ($0.value, 1) }.reduceByKey { $0 + $1 }
          .saveToTopic("out") { ProducerRecord(key: $0.0, value: $0.0) }
      case 2:
        stream.saveAsTextFiles("/out/records") { record, line in line.append(record.value) }
        stream.saveToTopic("out") { ProducerRecord(key: $0.value, value: $0.value) }
      default: stream.saveToTopic("out") { ProducerRecord(key: $0.value, value: $0.value) }
      }
    }
  }

  // MARK: The end

  override func check() throws {
    let input = try path.readAll("in")
    let output = try path.readAll("out")
    problems += loaders.flaws(in: input)
    statistics.records = input.count
    statistics.copies = output.count
    let present = Set(input.map { $0.value! })
    compare("the output", Set(output.map { $0.value! }), present)
    if isExactlyOnce, output.count != present.count {
      problems.append("\(output.count) records are in the output for \(present.count)")
    }
    if way == 2 { try checkFiles(present) }
    checkTiling()
    let ends = try path.ends("in")
    let committed = try path.committed("in")
    if committed != ends { problems.append("the group stands at \(committed), the input ends at \(ends)") }
  }

  private func compare(_ what: String, _ found: Set<String>, _ present: Set<String>) {
    let missing = present.subtracting(found)
    if !missing.isEmpty {
      problems.append("\(missing.count) records are missing in \(what): \(missing.sorted().prefix(3))")
    }
    let invented = found.subtracting(present)
    if !invented.isEmpty { problems.append("\(what) holds what the input lacks: \(invented.sorted().prefix(3))") }
  }

  private func checkFiles(_ present: Set<String>) throws {
    let files = path.simulation.makeProcess(named: "auditor", on: jobDisk).world.files
    let folders = try WholeFolder.all(below: "/out", files)
    problems += folders.flatMap(\.flaws)
    compare("the files", Set(folders.flatMap(\.lines)), present)
    if try files.list("/out").contains("_temporary-records") { problems.append("the attempts' folder was left") }
  }

  private func checkTiling() {
    var reached: [TopicPartition: Offset] = [:]
    var lastNumber: BatchNumber = 0
    for job in jobs {
      problems += job.flawsInTiling()
      for (index, batch) in job.batches.enumerated() {
        if batch.number < lastNumber { problems.append("batch \(batch.number) comes after \(lastNumber)") }
        lastNumber = batch.number
        for range in batch.inputs.flatMap(\.plan.ranges) {
          // A run whose transaction is decided may die before it says so.
          if index == 0, !isExactlyOnce, range.from > reached[range.topicPartition] ?? 0 {
            problems.append(
              "a run begins with \(range) although only \(reached[range.topicPartition] ?? 0) was reached")
          }
          reached[range.topicPartition] = max(reached[range.topicPartition] ?? 0, range.until)
        }
      }
    }
  }
}
