import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming

extension PartitionLag {
  /// What has arrived of a partition, and what brokers said of it, against what is planned.
  /// - Returns: nil before the first answer.
  init?(_ arrived: PartitionSnapshot, next: Offset, isolation: Offsets.Isolation, at wallTime: Timestamp) {
    let stable = isolation == .readCommitted ? arrived.lastStableOffset : nil
    guard let end = stable ?? arrived.highWatermark else { return nil }
    self.init(arrived.partition, next: next, end: end)
    guard records > 0 else { return }
    let waiting = arrived.batches.filter { $0.header.nextOffset > next }
    guard let first = waiting.first else { return }
    // Records of a batch are not looked into: the oldest may be a little younger than its batch's first.
    if first.header.baseTimestamp != .none {
      time = .milliseconds(max(0, wallTime.milliseconds - first.header.baseTimestamp.milliseconds))
    }
    let offsets = waiting.reduce(Int64(0)) { $0 + ($1.header.nextOffset - max($1.header.baseOffset, next)) }
    let size = waiting.reduce(Int64(0)) { $0 + Int64($1.bytes.count) }
    if offsets > 0 { bytes = Int64(Double(size) / Double(offsets) * Double(records)) }
  }
}
