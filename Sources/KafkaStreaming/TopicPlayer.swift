import Codecs
import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming
import Synchronization
import SystemInterfaces

extension StreamingContext {
  /// Plays lines into a topic while the job runs, evenly over `duration`: for demonstrations and first tries. The lines go
  /// to the partitions in turn.
  /// - Parameters:
  ///   - topic: must exist: see `createTopic`.
  ///   - compression: of the record batches.
  ///   - thenStop: whether the job ends once it has worked through what was played.
  public func play(
    _ lines: some Collection<Bytes>, into topic: String, over duration: Duration,
    compression: CompressionCodec = .zstd, thenStop: Bool = false
  ) {
    do {
      let player = TopicPlayer(
        Array(lines), topic: topic, duration: duration, compression: compression, connection: try kafka(),
        context: self, thenStop: thenStop)
      addStreamingListener(player)
    } catch {
      note((error as? StreamingError) ?? .invalidDefinition("\(error)"))
    }
  }
}

/// Plays lines into a topic on the client's loop: every few milliseconds those that are due.
///
/// Sendable: after the start all state is touched on the client's loop.
private final class TopicPlayer: StreamingListener, @unchecked Sendable {
  private static let step: Duration = .milliseconds(50)

  private let lines: [Bytes]
  private let topic: String
  private let duration: Duration
  private let compression: CompressionCodec
  private let connection: KafkaConnection
  private let context: StreamingContext
  private let thenStop: Bool
  private let workspace = CodecWorkspace()
  private var partitionCount = 1
  private var position = 0
  private var inFlight = 0
  private var begun = Instant(nanoseconds: 0)
  private var isEnded = false

  init(
    _ lines: [Bytes], topic: String, duration: Duration, compression: CompressionCodec, connection: KafkaConnection,
    context: StreamingContext, thenStop: Bool
  ) {
    self.lines = lines
    self.topic = topic
    self.duration = duration
    self.compression = compression
    self.connection = connection
    self.context = context
    self.thenStop = thenStop
  }

  func onStreamingStarted(_ time: Timestamp) {
    let client = connection.client
    client.loop.post { [self] in
      client.metadata(for: [topic]) { [self] result in
        switch result {
        case .failure(let error): end(error)
        case .success(let metadata):
          partitionCount = max(1, metadata.topics[topic]?.partitions.count ?? 1)
          begun = client.loop.now
          play()
        }
      }
    }
  }

  /// Sends what is due, one record batch a partition.
  private func play() {
    let loop = connection.client.loop
    let share = duration > .zero ? min(1, (loop.now - begun).inSeconds / duration.inSeconds) : 1
    let due = Int((Double(lines.count) * share).rounded(.down))
    do {
      if due > position { try send(position..<due) }
    } catch {
      return end(error)
    }
    position = max(position, due)
    if position < lines.count {
      loop.after(TopicPlayer.step) { [self] in play() }
    } else if inFlight == 0 {
      end(nil)
    }
  }

  private func send(_ range: Range<Int>) throws {
    for partition in 0..<partitionCount {
      var builder = RecordBatchBuilder()
      var batches: [EncodedBatch] = []
      func close() throws {
        guard !builder.isEmpty else { return }
        let bytes = try builder.finish(RecordBatchSettings(codec: compression), using: workspace)
        builder.reset()
        batches.append(EncodedBatch(bytes))
      }
      for index in range where index % partitionCount == partition {
        try builder.append(key: nil, value: lines[index], timestamp: connection.client.loop.wallTime)
        if builder.uncompressedSize > TopicSink.batchBytesMax { try close() }
      }
      try close()
      inFlight += batches.count
      try connection.producer.sendBatches(TopicPartition(topic, PartitionIndex(Int32(partition))), batches) {
        [self] delivery in
        inFlight -= 1
        if let error = delivery.error { return end(error) }
        if inFlight == 0, position == lines.count { end(nil) }
      }
    }
  }

  private func end(_ error: (any Error)?) {
    guard !isEnded else { return }
    isEnded = true
    if let error {
      context.environment.log("playing into \(topic) failed after \(position) of \(lines.count) lines: \(error)")
      context.stop()
    } else if thenStop {
      context.stopAtPresentEnd()
    }
  }
}
