import Groundwork
import KafkaProtocol
import SystemInterfaces

extension KafkaClient {
  /// Fetches one range for itself, beside any fetcher: for a task whose bytes are gone.
  ///
  /// - Parameters:
  ///   - bytesMax: stops once this many bytes are there; the result's `nextOffset` says how far it got. At least one
  ///     batch comes.
  ///   - topicID: the topic that the range counts in; zero where that is not known.
  ///   - deadline: nil: `default.api.timeout.ms` from now.
  ///   - then: hears `broker(.offsetOutOfRange, …)` where the range is no longer in the log, or not yet.
  public func fetchRange(
    _ range: OffsetRange, bytesMax: Int = 64 << 20, isolation: Offsets.Isolation = .readCommitted,
    topicID: UUID128 = .zero, deadline: Instant? = nil,
    then: @escaping @Sendable (Result<FetchedRange, ClientError>) -> Void
  ) {
    var settings = FetcherConfiguration()
    settings.isolation = isolation
    settings.bytesMax = max(1, min(bytesMax, settings.bytesMax))
    settings.partitionBytesMax = settings.bytesMax
    let progress = RangeProgress(range, topicID: topicID, bytesMax: bytesMax)
    if range.isEmpty { return loop.post { then(.success(progress.result)) } }
    let end = deadline ?? loop.now + configuration.callTimeout
    @Sendable func next(_ settings: FetcherConfiguration) {
      retrying(
        until: end, { [self] done in fetchPiece(progress, settings, then: done) },
        then: { (result: Result<Void, ClientError>) in
          switch result {
          case .failure(let error): then(.failure(error))
          case .success: if progress.isDone { then(.success(progress.result)) } else { next(settings) }
          }
        })
    }
    next(settings)
  }

  private func fetchPiece(
    _ progress: RangeProgress, _ settings: FetcherConfiguration,
    then: @escaping @Sendable (Result<Void, ClientError>) -> Void
  ) {
    let partition = progress.range.topicPartition
    metadataOnce(for: [partition.topic]) { [self] result in
      if case .failure(let error) = result { return then(.failure(error)) }
      if let error = topicError(partition) { return then(.failure(error)) }
      if progress.topicID != .zero, let id = metadata.topics[partition.topic]?.id, id != .zero, id != progress.topicID {
        // Its offsets mean other records now.
        let what = "fetching \(progress.range) of a topic that was deleted and made again"
        return then(.failure(ClientError(.broker(.offsetOutOfRange, what))))
      }
      var plan = FetchPlan(settings)
      let room = max(progress.bytesLeft, progress.cutBatchSize, 1)
      progress.room = room
      plan.add(partition, from: progress.nextOffset, bytesMax: room, metadata)
      sendOnce(plan.request, to: .leader(partition), versions: plan.versions) { [self] result in
        then(result.flatMap { answer in take(answer, progress) })
      }
    }
  }

  private func take(_ answer: FetchResponse, _ progress: RangeProgress) -> Result<Void, ClientError> {
    let partition = progress.range.topicPartition
    let what = "fetching \(progress.range)"
    guard let data = answer.responses.first?.partitions.first, !answer.errorCode.isError else {
      let code = answer.errorCode.isError ? answer.errorCode : .unknownServerError
      return .failure(ClientError(.broker(code, what)))
    }
    if data.errorCode.isError {
      forgetWhatIsStale(data.errorCode, topic: partition.topic)
      return .failure(ClientError(.broker(data.errorCode, what)))
    }
    do {
      let piece = try FetchAnswer(data, from: progress.nextOffset)
      if piece.batches.isEmpty {
        if let size = piece.cutBatchSize, size > progress.room {
          progress.cutBatchSize = size
          return .success(())
        }
        // Nothing although something must be there: behind the end of the log for good, else a matter of time.
        let isBeyond = piece.highWatermark.map { $0 <= progress.nextOffset } ?? false
        let code: KafkaErrorCode = isBeyond ? .offsetOutOfRange : .offsetNotAvailable
        return .failure(ClientError(.broker(code, what)))
      }
      progress.add(piece)
      return .success(())
    } catch {
      return .failure(ClientError(.badRecordBatch(partition, error.description)))
    }
  }
}

/// How far a range has been fetched.
///
/// Sendable: touched on the client's loop alone.
private final class RangeProgress: @unchecked Sendable {
  let range: OffsetRange
  let topicID: UUID128
  var nextOffset: Offset
  var bytesLeft: Int
  /// Bytes that the request under way leaves for the partition.
  var room = 0
  /// The size of a batch that did not fit.
  var cutBatchSize = 0
  private var batches: [Bytes] = []
  private var aborted: Set<AbortedTransaction> = []

  init(_ range: OffsetRange, topicID: UUID128, bytesMax: Int) {
    self.range = range
    self.topicID = topicID
    nextOffset = range.from
    bytesLeft = bytesMax
  }

  var isDone: Bool { nextOffset >= range.until || bytesLeft <= 0 }
  var result: FetchedRange { FetchedRange(batches: batches, nextOffset: nextOffset, aborted: aborted.sorted()) }

  func add(_ piece: FetchAnswer) {
    cutBatchSize = 0
    for batch in piece.batches {
      guard nextOffset < range.until, bytesLeft > 0 else { return }
      if batch.header.baseOffset < range.until {
        batches.append(batch.bytes)
        bytesLeft -= batch.bytes.count
        aborted.formUnion(batch.aborted)
      }
      nextOffset = batch.header.nextOffset
    }
  }
}
