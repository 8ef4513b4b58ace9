import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming

/// A range that a task found missing: fetched from its topic again, into the place where tasks look.
struct RangeFetch: FetchableInput {
  var range: OffsetRange
  /// The batch it belongs to: it is forgotten with it.
  var number: BatchNumber
  var isolation: Offsets.Isolation
  /// The topic that the range counts in; zero where that is not known.
  var topicID = UUID128.zero
  var client: KafkaClient
  var fetched: FetchedBatches
  /// What to do where records of the range are gone.
  var loss = Loss()

  struct Loss: Sendable {
    var policy = DataLossPolicy.fail
    /// The range counts in a topic of the same name that is no more.
    var isRecreated = false
    /// Hears of what the range does not have, where the policy goes on without. On the client's loop.
    var keep: @Sendable (Gap) -> Void = { _ in }
  }

  var summary: String { "\(range)" }

  func fetch(then: @escaping @Sendable ((any Error)?) -> Void) {
    fetchReadable { result in
      if case .failure(let error) = result { then(error) } else { then(nil) }
    }
  }

  /// What was found where a range was fetched again.
  struct Found: Sendable {
    /// As the batches' headers count them.
    var content = RangeContent()
    var bytes = 0
  }

  /// As `fetch`, and says what came.
  func fetchReadable(then: @escaping @Sendable (Result<Found, any Error>) -> Void) {
    client.loop.post { loss.isRecreated ? goOnWithout(then) : fetch(from: range.from, then) }
  }

  /// Fetches the range, or what is left of it. On the client's loop, as all that follows.
  private func fetch(from: Offset, _ then: @escaping @Sendable (Result<Found, any Error>) -> Void) {
    let left = OffsetRange(range.topicPartition, from: from, until: range.until)
    client.fetchRange(left, bytesMax: .max, isolation: isolation, topicID: topicID) { result in
      do {
        let (batches, found) = try RangeFetch.readable(try result.get(), range)
        if from > range.from { loss.keep(gap(until: from, .retention)) }
        insert(batches, found)
        then(.success(found))
      } catch let error as ClientError where error.kafkaCode == .offsetOutOfRange {
        goOnWithout(then)
      } catch {
        then(.failure(error))
      }
    }
  }

  private func insert(_ batches: [Bytes], _ found: Found) {
    fetched.insert(FetchedBatches.Block(range: range, batches: batches, bytes: found.bytes, number: number))
  }

  private func gap(until: Offset, _ reason: GapReason) -> Gap {
    Gap(range.topicPartition, from: range.from, until: until, reason: reason)
  }

  /// Records of the range are gone: what the policy says.
  private func goOnWithout(_ then: @escaping @Sendable (Result<Found, any Error>) -> Void) {
    if loss.policy == .fail { return then(.failure(RangeGone(range: range))) }
    let known = client.metadata.topics[range.topic]?.id ?? .zero
    let isRecreated = loss.isRecreated || (topicID != .zero && known != .zero && known != topicID)
    if isRecreated || loss.policy == .latest {
      return leaveOut(isRecreated ? .recreated : .retention, then)
    }
    Offsets(client).list([range.topicPartition: .earliest]) { result in
      switch result {
      case .failure(let error): then(.failure(error))
      case .success(let listed):
        let start = listed[range.topicPartition]?.offset ?? range.until
        if start >= range.until {
          leaveOut(.retention, then)
        } else if start > range.from {
          fetch(from: start, then)
        } else {
          // It is the end of the range that is missing: the log was cut.
          leaveOut(.truncated, then)
        }
      }
    }
  }

  /// The range is read as one without records.
  private func leaveOut(_ reason: GapReason, _ then: @escaping @Sendable (Result<Found, any Error>) -> Void) {
    loss.keep(gap(until: range.until, reason))
    let nothing = Found()
    insert([], nothing)
    then(.success(nothing))
  }

  /// The batches with records for reading. The list of the first answer names what was open where the range begins.
  static func readable(
    _ fetched: FetchedRange, _ range: OffsetRange
  ) throws(RecordBatchError) -> (batches: [Bytes], found: Found) {
    var filter = AbortedFilter()
    var found = Found()
    var readable: [Bytes] = []
    for bytes in fetched.batches {
      let header = try bytes.withUnsafeBytes { raw throws(RecordBatchError) in try RecordBatchHeader.parse(raw) }
      if filter.hides(header, fetched.aborted) { continue }
      let inside = min(header.nextOffset, range.until) - max(header.baseOffset, range.from)
      if inside > 0 {
        found.content.add(
          records: min(Int(header.recordCount), Int(inside)), at: header.baseOffset.rawValue, checksum: header.crc)
      }
      found.bytes += bytes.count
      readable.append(bytes)
    }
    return (readable, found)
  }
}

/// The records of a batch are no longer in their topic, when they were needed once more.
struct RangeGone: DiagnosableError {
  var range: OffsetRange
  var fault: Fault { .peer }
  var isRetriable: Bool { false }
  var leavesUsable: Bool { false }
  var description: String {
    "\(range.topicPartition), offsets \(range.from) to \(range.until), had to be read again and is no longer in the topic: "
      + "retention has removed it, or the topic was made again; raise the topic's retention.ms above the time a batch can "
      + "take with all its retries, and above the length of plain windows; to go on without what is gone, set "
      + "sluice.kafka.onDataLoss to earliest"
  }
}
