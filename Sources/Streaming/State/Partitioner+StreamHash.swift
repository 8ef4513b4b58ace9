import Datasets
import Groundwork

extension Partitioner where Key: StreamCodable {
  /// By the hash of the key's canonical encoding: the same in every process, as state on disk needs it.
  @inlinable package static func byStreamHash(_ partitionCount: Int) -> Partitioner {
    Partitioner(partitionCount: partitionCount, identity: "streamHash\(Hash64.version)(\(partitionCount))") { key in
      Int(truncatingIfNeeded: stableHash(key) % UInt64(truncatingIfNeeded: partitionCount))
    }
  }
}

/// `key.streamHash`, without memory of its own for the encoding of keys up to 15 bytes long that are common.
@inlinable package func stableHash<Key: StreamCodable>(_ key: Key) -> UInt64 {
  if Key.self == Int.self {
    // The same type, as was just checked: zig-zag, seven bits a byte, laid into two words as Bytes has them inline.
    let number = unsafeBitCast(key, to: Int.self)
    var rest = UInt64(bitPattern: Int64(number &<< 1 ^ number &>> 63))
    var low: UInt64 = 0
    var high: UInt64 = 0
    var count: UInt64 = 0
    repeat {
      let byte = rest & 0x7F | (rest >= 0x80 ? 0x80 : 0)
      if count < 8 { low |= byte &<< (count &* 8) } else { high |= byte &<< ((count &- 8) &* 8) }
      rest &>>= 7
      count &+= 1
    } while rest != 0
    return Hash64.short(low, high | count &<< 56, seed: 0)
  }
  return key.streamHash
}
