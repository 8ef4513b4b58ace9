import Groundwork

/// The hash by which Kafka's own clients spread keys (org.apache.kafka.common.utils.Utils.murmur2): MurmurHash2 with
/// 32 bits and a seed of its own. Equal keys must go where other clients put them, so its values are fixed.
public func murmur2(_ bytes: Bytes) -> Int32 {
  bytes.withUnsafeBytes { raw in
    let m: UInt32 = 0x5bd1_e995
    let count = raw.count
    var hash = 0x9747_b28c ^ UInt32(truncatingIfNeeded: count)
    for word in 0..<count / 4 {
      var k = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: word * 4, as: UInt32.self))
      k = k &* m
      k ^= k &>> 24
      k = k &* m
      hash = (hash &* m) ^ k
    }
    let tail = count & ~3
    if count & 3 == 3 { hash ^= UInt32(raw[tail + 2]) &<< 16 }
    if count & 3 >= 2 { hash ^= UInt32(raw[tail + 1]) &<< 8 }
    if count & 3 >= 1 { hash = (hash ^ UInt32(raw[tail])) &* m }
    hash ^= hash &>> 13
    hash = hash &* m
    hash ^= hash &>> 15
    return Int32(bitPattern: hash)
  }
}

/// Which partition of a topic a record goes to: by its key's hash, as Kafka's Java client does it, and for records
/// without a key the same one until its batch is full (KIP-480), so that batches fill.
struct Partitioner: Sendable {
  private var current: [String: PartitionIndex] = [:]

  /// - Parameters:
  ///   - count: the topic's partitions; at least 1.
  ///   - random: a fresh random number.
  mutating func partition(topic: String, key: Bytes?, count: Int, random: @autoclosure () -> UInt64) -> PartitionIndex {
    if let key { return PartitionIndex(Int32((Int(murmur2(key)) & 0x7FFF_FFFF) % count)) }
    if let sticky = current[topic], sticky.rawValue < Int32(count) { return sticky }
    let chosen = PartitionIndex(Int32(random() % UInt64(count)))
    current[topic] = chosen
    return chosen
  }

  /// A batch of the partition is full: the next record without a key goes elsewhere.
  mutating func batchClosed(_ partition: TopicPartition) {
    if current[partition.topic] == partition.partition { current[partition.topic] = nil }
  }
}
