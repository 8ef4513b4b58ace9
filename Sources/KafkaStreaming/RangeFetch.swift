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
    client.loop.post {
      client.fetchRange(range, bytesMax: .max, isolation: isolation, topicID: topicID) { result in
        do {
          let (batches, found) = try RangeFetch.readable(try result.get(), range)
          fetched.insert(FetchedBatches.Block(range: range, batches: batches, bytes: found.bytes, number: number))
          then(.success(found))
        } catch let error as ClientError where error.kafkaCode == .offsetOutOfRange {
          then(.failure(RangeGone(range: range)))
        } catch {
          then(.failure(error))
        }
      }
    }
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
      + "take with all its retries"
  }
}
