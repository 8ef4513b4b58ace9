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

/// `key.streamHash`, without memory of its own for the encoding of numbers and short texts.
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
  if Key.self == Bytes.self {
    // The same type, as was just checked.
    let bytes = unsafeBitCast(key, to: Bytes.self)
    if let hash = bytes.withUnsafeBytes({ stableHash(ofShort: $0) }) { return hash }
  } else if Key.self == String.self {
    // The same type, as was just checked.
    var text = unsafeBitCast(key, to: String.self)
    if let hash = text.withUTF8({ stableHash(ofShort: UnsafeRawBufferPointer($0)) }) { return hash }
  }
  return key.streamHash
}

/// The hash of the encoding of up to 14 bytes, which is their count and they: 15 stand in two words. nil for more.
@inlinable package func stableHash(ofShort bytes: UnsafeRawBufferPointer) -> UInt64? {
  guard bytes.count <= 14 else { return nil }
  var low = UInt64(bytes.count)
  var high = UInt64(bytes.count &+ 1) &<< 56
  for position in 0..<bytes.count {
    let byte = UInt64(bytes[position])
    if position < 7 {
      low |= byte &<< UInt64((position &+ 1) &* 8)
    } else {
      high |= byte &<< UInt64((position &- 7) &* 8)
    }
  }
  return Hash64.short(low, high, seed: 0)
}
