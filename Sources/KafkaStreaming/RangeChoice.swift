import Groundwork
import KafkaClients
import KafkaProtocol

/// What a plan takes of one partition: a range, and the raw batches that hold it. Pure.
struct RangeChoice {
  /// The offset after the range.
  var until: Offset
  /// Records, as the batches' headers count them; in a batch that the range cuts, by offsets.
  var records = 0
  /// Bytes of the batches, compressed.
  var bytes = 0
  var batches: [Bytes] = []
  /// Whether the limit of records kept it from being larger.
  var isLimited = false

  /// Takes what has arrived from `next` on.
  ///
  /// A cut falls between record batches, unless one batch alone exceeds the limit.
  /// - Parameters:
  ///   - end: the offset to stop before; nil takes all.
  ///   - recordsMax: nil for no limit.
  init(_ arrived: PartitionSnapshot, next: Offset, end: Offset?, recordsMax: Int?) {
    until = next
    let limit = recordsMax ?? Int.max
    let last = min(end ?? arrived.nextOffset, arrived.nextOffset)
    guard arrived.startOffset <= next, last > next else { return }
    for batch in arrived.batches where batch.header.nextOffset > next {
      let header = batch.header
      if header.baseOffset >= last { break }
      let begins = max(header.baseOffset, until)
      let ends = min(header.nextOffset, last)
      let isWhole = begins == header.baseOffset && ends == header.nextOffset
      let count =
        header.isControl ? 0 : isWhole ? Int(header.recordCount) : min(Int(header.recordCount), Int(ends - begins))
      if records + count > limit {
        isLimited = true
        if records == 0 {
          // One batch alone is too large: it is cut, and the rest of it is the next batch's.
          take(batch, records: min(count, limit))
          until = begins + Int64(limit)
        }
        return
      }
      take(batch, records: count)
      until = ends
    }
    // What lies behind the last batch was compacted away: there is nothing there to wait for.
    until = max(until, last)
  }

  private mutating func take(_ batch: BufferedBatch, records count: Int) {
    records += count
    bytes += batch.bytes.count
    batches.append(batch.bytes)
  }
}
