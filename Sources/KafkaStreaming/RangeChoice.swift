import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming

/// What a plan takes of one partition: a range, and the raw batches that hold it. Pure.
///
/// Markers and batches of aborted transactions are passed over: they belong to the range and hold no records for anybody.
struct RangeChoice {
  /// The offset after the range.
  var until: Offset
  /// Which transactions are open at `until`: what the next range begins with.
  var filter: AbortedFilter
  /// Records, as the batches' headers count them, in a batch that the range cuts by offsets; and which batches they are.
  var content = RangeContent()
  var records: Int { content.records }
  /// Bytes of the batches, compressed.
  var bytes = 0
  /// Those with records for reading, in order.
  var batches: [Bytes] = []
  /// Records that were passed over because their transaction was aborted, as the batches' headers count them.
  var abortedRecords = 0
  /// Whether the limit of records kept it from being larger.
  var isLimited = false
  /// The leader epoch of the last batch of the range; -1 where there is none.
  var leaderEpoch: Int32 = -1

  /// Takes what has arrived from `next` on.
  ///
  /// A cut falls between record batches, unless one batch alone exceeds the limit.
  /// - Parameters:
  ///   - filter: which aborted transactions are open at `next`.
  ///   - end: the offset to stop before; nil takes all.
  ///   - recordsMax: nil for no limit.
  ///   - mayCut: whether a batch that alone exceeds the limit is cut; else it is left.
  init(
    _ arrived: PartitionSnapshot, next: Offset, filter: AbortedFilter = AbortedFilter(), end: Offset?,
    recordsMax: Int?, mayCut: Bool = true
  ) {
    until = next
    self.filter = filter
    let limit = recordsMax ?? Int.max
    let last = min(end ?? arrived.nextOffset, arrived.nextOffset)
    guard arrived.startOffset <= next, last > next else { return }
    for batch in arrived.batches where batch.header.nextOffset > next {
      let header = batch.header
      if header.baseOffset >= last { break }
      let begins = max(header.baseOffset, until)
      let ends = min(header.nextOffset, last)
      let isWhole = begins == header.baseOffset && ends == header.nextOffset
      let count = isWhole ? Int(header.recordCount) : min(Int(header.recordCount), Int(ends - begins))
      var after = self.filter
      if after.hides(header, batch.aborted) {
        self.filter = after
        if !header.isControl { abortedRecords += count }
        until = ends
        leaderEpoch = header.partitionLeaderEpoch
        continue
      }
      if records + count > limit {
        isLimited = true
        if records == 0, mayCut, limit > 0 {
          // One batch alone is too large: it is cut, and the rest of it is the next batch's. The filter stays in front
          // of it, where it stands when the rest is read.
          take(batch, records: min(count, limit))
          leaderEpoch = header.partitionLeaderEpoch
          until = begins + Int64(limit)
        }
        return
      }
      self.filter = after
      take(batch, records: count)
      until = ends
      leaderEpoch = header.partitionLeaderEpoch
    }
    // What lies behind the last batch was compacted away: there is nothing there to wait for.
    until = max(until, last)
  }

  private mutating func take(_ batch: BufferedBatch, records count: Int) {
    content.add(records: count, at: batch.header.baseOffset.rawValue, checksum: batch.header.crc)
    bytes += batch.bytes.count
    batches.append(batch.bytes)
  }
}
