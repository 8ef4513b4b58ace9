import BenchmarkWorkload
import KafkaClients
import KafkaProtocol
import LinuxSystem
import Sluice
import Synchronization
import SystemInterfaces

/// Sends batches to the partitions of a topic in turn.
final class Sending {
  private let order: Order
  private let world = LiveWorld.make(executors: 1)
  private let loop = EpollLoop(named: "generator")
  private let client: KafkaClient
  private let producer: Producer

  init(_ order: Order, _ bootstrap: [Address]) throws {
    self.order = order
    client = KafkaClient(
      world: world.world, loop: loop,
      configuration: ClientConfiguration(bootstrap: bootstrap, clientID: "sluice-generator"))
    var configuration = ProducerConfiguration()
    configuration.bufferMemory = 128 << 20
    configuration.requestSizeMax = 32 << 20
    producer = Producer(client, configuration: configuration)
  }

  // MARK: As fast as it goes

  func fill() throws {
    let pool = try order.pool()
    let perBatch = pool.entries[0].tally.records
    let batches = max(1, (order.records + perBatch - 1) / perBatch)
    let run = Run(producer, loop, order, .pool(pool))
    let seconds = try wait(run) { run.fill(batches) }
    TextOutput.standard.write(
      "\(pool.tally(ofBatches: batches).text) \(order.text(pool)) sent_batches=\(batches) seconds=\(seconds) "
        + "cpu_seconds=\(Double(ThisProcess.processorTime) / 1e9)\n")
  }

  // MARK: At a rate

  func replay() throws {
    // A batch a millisecond, or a record where that is rarer.
    let perBatch = max(1, order.rate / 1_000)
    let batches = max(1, Int(order.time.inSeconds * Double(order.rate) / Double(perBatch)))
    let content: Run.Content
    var tally = Tally()
    if order.isStamped {
      content = .stamped(Stamping(order), perBatch)
    } else {
      var order = order
      order.records = batches * perBatch
      let pool = try order.pool(recordsPerBatch: perBatch)
      content = .pool(pool)
      tally = pool.tally(ofBatches: batches)
    }
    let run = Run(producer, loop, order, content)
    let prepared = ThisProcess.processorTime
    TextOutput.standard.write("ready\n")
    TextOutput.standard.flush()
    let interval = Duration.seconds(Double(perBatch) / Double(order.rate))
    let seconds = try wait(run) { run.replay(batches, every: interval) }
    let processorSeconds = Double(ThisProcess.processorTime - prepared) / 1e9
    let late = run.lateness
    // What a stamped value holds is known only once it is sent.
    let sums = order.isStamped ? "records=\(batches * perBatch)" : tally.text
    TextOutput.standard.write(
      "\(sums) sent_batches=\(batches) batch_records=\(perBatch) seconds=\(seconds) cpu_seconds=\(processorSeconds) "
        + "cores=\(HumanText.fixed(processorSeconds / seconds, 3)) late_ms_p50=\(late.median) "
        + "late_ms_p99=\(late.slowest1Percent) late_ms_max=\(late.worst)\n")
  }

  /// Runs something on the loop until the run is done.
  /// - Returns: how many seconds that took, the last acknowledgement included.
  private func wait(_ run: Run, _ start: @escaping @Sendable () -> Void) throws -> Double {
    defer { world.stop() }
    let began = loop.now
    loop.post { [loop, client] in
      run.whenDone = {
        client.close()
        loop.stop()
      }
      start()
    }
    loop.waitUntilEnded()
    if let failure = run.failure { throw failure }
    return (run.ended - began).inSeconds
  }
}

/// Batches made as they are sent.
///
/// Sendable: used on the sending loop only.
final class Stamping: @unchecked Sendable {
  private var lines: StampedLines
  init(_ order: Order) {
    lines = StampedLines(
      Lines(min(order.different, 16 << 20) / LineGenerator.lineSize, order.shape), codec: order.codec)
  }
  func batch(_ count: Int, _ intended: Instant, _ time: Timestamp) throws -> Bytes {
    try lines.batch(count, intended: intended, time: time)
  }
}

/// One run of sending.
///
/// Sendable: its state is touched on its loop only, and by the thread that waits once the loop has ended.
final class Run: @unchecked Sendable {
  enum Content {
    case pool(EncodedPool)
    case stamped(Stamping, Int)
  }
  private let producer: Producer
  private let loop: EpollLoop
  private let order: Order
  private let content: Content
  private var sent = 0
  private var began = Instant(nanoseconds: 0)
  private var late: [Int64] = []
  private(set) var failure: (any Error)?
  private(set) var ended = Instant(nanoseconds: 0)
  var whenDone: () -> Void = {}

  init(_ producer: Producer, _ loop: EpollLoop, _ order: Order, _ content: Content) {
    self.producer = producer
    self.loop = loop
    self.order = order
    self.content = content
  }

  /// Sends while there is room.
  func fill(_ count: Int) {
    while sent < count, failure == nil {
      guard producer.canAccept(16 << 20) else { return producer.whenAccepting { [self] in fill(count) } }
      send(intended: loop.now)
    }
    finish()
  }

  /// Sends each batch when it is due.
  func replay(_ count: Int, every interval: Duration) {
    late.reserveCapacity(count)
    // The first one a little later: connections are made before.
    producer.flush { [self] _ in
      began = loop.now + .milliseconds(50)
      step(count, interval)
    }
  }

  private func step(_ count: Int, _ interval: Duration) {
    while sent < count, failure == nil {
      let due = began + interval * sent
      let now = loop.now
      guard due <= now else {
        loop.at(due) { [self] in step(count, interval) }
        return
      }
      late.append((now - due).inNanoseconds)
      send(intended: due)
    }
    finish()
  }

  private func send(intended: Instant) {
    let partition = TopicPartition(order.topic, PartitionIndex(Int32(sent % order.partitions)))
    do {
      let batch =
        switch content {
        case .pool(let pool): try pool.entries[sent % pool.entries.count].batch.stamped(loop.wallTime)
        case .stamped(let lines, let count): try lines.batch(count, intended, loop.wallTime)
        }
      try producer.sendBatches(partition, [EncodedBatch(batch)]) { [self] delivery in
        if let error = delivery.error, failure == nil { failure = error }
      }
      sent += 1
    } catch {
      failure = failure ?? error
    }
  }

  private func finish() {
    producer.flush { [self] error in
      failure = failure ?? error
      ended = loop.now
      whenDone()
    }
  }

  /// How many milliseconds batches were sent after they were due.
  var lateness: (median: Double, slowest1Percent: Double, worst: Double) {
    let sorted = late.sorted()
    func milliseconds(_ part: Double) -> Double {
      sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]) / 1e6
    }
    return (milliseconds(0.5), milliseconds(0.99), milliseconds(1))
  }
}
