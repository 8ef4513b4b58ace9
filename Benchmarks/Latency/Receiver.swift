import BenchmarkWorkload
import KafkaClients
import KafkaProtocol
import LinuxSystem
import Sluice
import SystemInterfaces

/// Reads committed records, and notes how long each took since it was to be sent.
///
/// Sendable: its state is touched on its loop only, and by the thread that waits once the loop has ended.
final class Receiver: @unchecked Sendable {
  /// So long without a record after the first one: there will be no more.
  private static let patience: Duration = .seconds(10)

  private let world = LiveWorld.make(executors: 1)
  private let loop = EpollLoop(named: "receiver")
  private let client: KafkaClient
  private var fetcher: Fetcher?
  private let partitions: [TopicPartition]
  private let wanted: Int
  private let warmUp: Duration
  private let workspace = CodecWorkspace()
  private var filters: [TopicPartition: AbortedFilter] = [:]
  private var next: [TopicPartition: Offset] = [:]
  private var received = 0
  private var unstamped = 0
  private var firstIntended: Instant?
  private var lastArrival: Instant?
  /// In microseconds.
  private var taken: [Int32] = []
  private var failure: (any Error)?

  init(_ options: Options) throws {
    let topic = try options.required("topic")
    partitions = (0..<(try options.int("partitions")!)).map { TopicPartition(topic, PartitionIndex(Int32($0))) }
    wanted = try options.int("records")!
    warmUp = try options.duration("warm-up")!
    client = KafkaClient(
      world: world.world, loop: loop,
      configuration: ClientConfiguration(
        bootstrap: try options.addresses("bootstrap-server"), clientID: "sluice-receiver"))
  }

  /// Prints `ready` when it is about to read, and at the end what it saw.
  func run() throws {
    taken.reserveCapacity(min(wanted, 100_000_000))
    loop.post { [self] in
      var configuration = FetcherConfiguration()
      configuration.isolation = .readCommitted
      let fetcher = Fetcher(client, configuration: configuration) { [weak self] in self?.heard($0) }
      self.fetcher = fetcher
      for partition in partitions { next[partition] = 0 }
      fetcher.start(next)
      TextOutput.standard.write("ready\n")
      TextOutput.standard.flush()
      watch()
    }
    loop.waitUntilEnded()
    world.stop()
    if let failure { throw failure }
    let sorted = taken.sorted()
    func milliseconds(_ part: Double) -> Double {
      sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]) / 1e3
    }
    TextOutput.standard.write(
      "received=\(received) unstamped=\(unstamped) measured=\(sorted.count) ms_p50=\(milliseconds(0.5)) "
        + "ms_p99=\(milliseconds(0.99)) ms_p999=\(milliseconds(0.999)) ms_max=\(milliseconds(1))\n")
  }

  /// Ends where nothing comes any more.
  private func watch() {
    if let lastArrival, loop.now - lastArrival > Receiver.patience { return end() }
    loop.after(.milliseconds(500)) { [self] in watch() }
  }

  private func end() {
    fetcher?.close()
    client.close()
    loop.stop()
  }

  private func heard(_ event: FetchEvent) {
    switch event {
    case .arrived(let partition):
      do { try take(partition) } catch { fail(error) }
      if received >= wanted { end() }
    case .failed(_, let error, let isStopped): if isStopped { fail(error) }
    case .offsetOutOfRange(let partition, _), .recreated(let partition): fail(TopicChanged(partition: "\(partition)"))
    }
  }

  private func fail(_ error: any Error) {
    failure = failure ?? error
    end()
  }

  private func take(_ partition: TopicPartition) throws {
    guard let fetcher, let arrived = fetcher.buffer.snapshot(of: partition), let from = next[partition] else { return }
    var filter = filters[partition] ?? AbortedFilter()
    for buffered in arrived.batches where buffered.header.nextOffset > from {
      if filter.hides(buffered.header, buffered.aborted) { continue }
      try RecordBatch(buffered.bytes).forEachRecord(from: from, using: workspace) { record in
        received += 1
        guard let intended = StampedLines.intended(record.value ?? Bytes()) else { return unstamped += 1 }
        // Looked at for each: records before it in the batch took their time.
        let now = loop.now
        lastArrival = now
        let first = firstIntended ?? intended
        firstIntended = min(first, intended)
        if intended - first >= warmUp { taken.append(Int32(clamping: (now - intended).inNanoseconds / 1_000)) }
      }
    }
    filters[partition] = filter
    next[partition] = arrived.nextOffset
    fetcher.release(partition, upTo: arrived.nextOffset)
  }
}

/// The topic went away while it was read.
struct TopicChanged: Error, CustomStringConvertible {
  var partition: String
  var description: String { "\(partition) is not what it was when reading began" }
}
