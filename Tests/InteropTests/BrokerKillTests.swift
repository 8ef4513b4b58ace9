import Dispatch
import Groundwork
import KafkaClients
import KafkaProtocol
import LinuxSystem
import Synchronization
import SystemInterfaces
import Testing

extension InteropTests {
  /// What was acknowledged survives the death of the broker's process.
  @Suite struct BrokerKills {
    static let kills = 20

    @Test func everyAcknowledgedRecordIsThereOnceAndInOrder() throws {
      let python = try Program.python()
      let seed = ThisProcess.environment("SLUICE_SEED").flatMap { UInt64($0) } ?? LinuxRandomness().next()
      print("seed \(seed): SLUICE_SEED repeats the choice of moments")
      var random = SeededRandom(seed: seed)
      let scratch = try Scratch()
      let broker = try BrokerProcess(in: scratch, seed: seed)
      let client = LiveClient(broker.address)
      try client.createTopics([("ours", 1), ("theirs", 1)])
      let theirs = try ChildProcess(
        python, [Program.client("confluent_persistent.py"), "\(broker.address)", "theirs", scratch.path + "/acked"],
        input: .pipe, output: .pipe, error: .pipe)
      let watch = Watchdog(theirs, 120)
      #expect(theirs.nextLine() == "ready")
      let ours = PersistentProducer(client, topic: "ours")
      ours.start()

      let acked = scratch.path + "/acked"
      for kill in 1...Self.kills {
        // The moment is an acknowledgement of each producer's, up to 3,000 of ours behind the last start: others are
        // under way then.
        let before = try Scratch.files.attributes(acked)?.size ?? 0
        try ours.waitForMore(Int(random.next() % 3000) + 1, what: "acknowledgements before kill \(kill), seed \(seed)")
        try waitUntil("confluent-kafka has an acknowledgement before kill \(kill), seed \(seed)") {
          try theirs.exitNow != nil || Scratch.files.attributes(acked)?.size ?? 0 > before
        }
        broker.kill()
        try broker.restart()
      }
      try ours.waitForMore(1, what: "an acknowledgement after the last kill")
      let outcome = try ours.stop()
      theirs.closeInput()
      let their = finish(theirs, within: 90)
      watch.disarm()
      #expect(outcome.failures.isEmpty, "seed \(seed): \(outcome.failures.prefix(3))")
      #expect(their.exit.isSuccess, "seed \(seed): \(their.report)")
      // Once more from the disk.
      try broker.restart()

      let ourLog = try LiveClient(broker.address).readAll("ours").map { Int(String($0.value ?? "")) ?? -1 }
      #expect(ourLog.count == outcome.acknowledged, "seed \(seed)")
      #expect(Self.firstGap(ourLog) == nil, "seed \(seed): our records")
      let theirLog = try LiveClient(broker.address).readAll("theirs").map { Int(String($0.value ?? "")) ?? -1 }
      let told = try Scratch.files.contents(of: acked).split(separator: "\n").map { Int($0) ?? -1 }
      #expect(told.count > Self.kills, "seed \(seed): \(their.report)")
      #expect(theirLog.count == told.count, "seed \(seed)")
      #expect(Self.firstGap(theirLog) == nil, "seed \(seed): records of confluent-kafka")
      #expect(Self.firstGap(told) == nil, "seed \(seed): acknowledgements of confluent-kafka")
      print(
        "\(Self.kills) kills; records once and in order: \(ourLog.count) of ours, \(theirLog.count) of confluent-kafka")
    }

    /// Where the numbers are not 0, 1, 2 ….
    private static func firstGap(_ numbers: [Int]) -> String? {
      for (index, number) in numbers.enumerated() where number != index { return "place \(index) has \(number)" }
      return nil
    }
  }
}

/// Our idempotent producer, kept busy with the numbers 0, 1, 2 … until it is stopped.
///
/// Sendable: what is not behind the lock is touched on the client's loop only.
final class PersistentProducer: @unchecked Sendable {
  struct Outcome: Sendable {
    var acknowledged = 0
    var failures: [String] = []
  }

  private static let outstandingMax = 40
  private let client: LiveClient
  private let topic: String
  private var producer: Producer?
  private var next = 0
  private var isStopping = false
  private let outcome = Mutex(Outcome())
  /// Signalled for each batch that was answered.
  private let answered = DispatchSemaphore(value: 0)

  init(_ client: LiveClient, topic: String) {
    self.client = client
    self.topic = topic
  }

  func start() {
    client.loop.post { [self] in
      var configuration = ProducerConfiguration()
      configuration.codec = .lz4
      configuration.linger = .milliseconds(2)
      producer = Producer(client.client, configuration: configuration) { [self] in delivered($0) }
      fill()
    }
  }

  private func delivered(_ delivery: Delivery) {
    outcome.withLock {
      if let error = delivery.error {
        $0.failures.append("\(error)")
      } else {
        $0.acknowledged += Int(delivery.recordCount)
      }
    }
    answered.signal()
    fill()
  }

  private func fill() {
    guard !isStopping else { return }
    let done = outcome.withLock { $0.failures.isEmpty ? $0.acknowledged : nil }
    guard let done else { return }
    while next - done < Self.outstandingMax {
      do throws(ClientError) {
        try producer?.send(topic: topic, partition: 0, key: nil, value: Bytes("\(next)"))
        next += 1
      } catch {
        outcome.withLock { $0.failures.append("\(error)") }
        return
      }
    }
  }

  /// Waits until so many more records are acknowledged.
  func waitForMore(_ count: Int, what: String) throws {
    let goal = outcome.withLock { $0.acknowledged } + count
    let deadline = DispatchTime.now() + .seconds(45)
    while true {
      let now = outcome.withLock { $0 }
      if now.acknowledged >= goal { return }
      guard now.failures.isEmpty, answered.wait(timeout: deadline) == .success else {
        throw SetupFailure("no \(what) within 45 s: \(now.acknowledged) of \(goal), failures \(now.failures.prefix(3))")
      }
    }
  }

  /// Sends what is left, and tells how all fared.
  func stop() throws -> Outcome {
    let _: Void = try client.call("the last acknowledgements") { [self] done in
      isStopping = true
      producer?.flush { done($0.map { .failure($0) } ?? .success(())) }
    }
    return outcome.withLock { $0 }
  }
}
