import Groundwork

/// A run of changes of one operator's state in one of its partitions, encoded: what the store keeps, without knowing what
/// keys and values are.
///
/// A change is: the key's byte count (unsigned varint), the key, then 0 for a removal, or 1 plus the byte count of what
/// follows, which is the deadline (0 for none, or 1 and a zig-zag varint of milliseconds) and the value.
package struct StateBlock: Sendable {
  /// The number under which the catalog knows the operator and the schema of its values.
  package var operatorID: Int
  /// The state partition that wrote it. For people: when it is read, each key is placed by its hash.
  package var partition: Int
  /// One change after the other.
  package var changes: Bytes

  /// A new block is begun once one has grown to this many bytes.
  package static let usualBytes = 1 << 20

  /// - Parameters:
  ///   - operatorID: as in the catalog.
  ///   - partition: the state partition.
  ///   - changes: one after the other, encoded.
  package init(operatorID: Int, partition: Int, changes: Bytes) {
    self.operatorID = operatorID
    self.partition = partition
    self.changes = changes
  }
}

/// Writes changes into blocks of about `StateBlock.usualBytes`.
@usableFromInline package struct ChangeWriter: ~Copyable {
  private var block = ByteWriter()
  private var value = ByteWriter()
  private var finished: [Bytes] = []
  /// Bytes of all blocks so far.
  package private(set) var byteCount = 0

  package init() {}

  /// Adds one change.
  /// - Parameters:
  ///   - key: its canonical encoding.
  ///   - deadline: in milliseconds; nil for none.
  ///   - encode: writes the value; nil for a removal.
  package mutating func append<Key: StreamCodable>(
    _ key: Key, deadline: Int64?, value encode: ((inout ByteWriter) -> Void)?
  ) {
    let before = block.count
    value.removeAll()
    key.encode(to: &value)
    block.append(unsignedVarint: UInt64(value.count))
    value.withUnsafeBytes { block.append($0) }
    if let encode {
      value.removeAll()
      if let deadline {
        value.append(1)
        value.append(varint: deadline)
      } else {
        value.append(0)
      }
      encode(&value)
      block.append(unsignedVarint: UInt64(value.count) + 1)
      value.withUnsafeBytes { block.append($0) }
    } else {
      block.append(unsignedVarint: 0)
    }
    byteCount += block.count - before
    if block.count >= StateBlock.usualBytes { close() }
  }

  private mutating func close() {
    guard block.count > 0 else { return }
    finished.append(block.copyBytes())
    block.removeAll()
  }

  /// The blocks' contents, in order.
  package consuming func finish() -> [Bytes] {
    close()
    return finished
  }
}

/// A change as it is read back: still encoded.
package struct StoredChange {
  /// The key's canonical encoding.
  package var key: Bytes
  /// nil for a removal.
  package var value: Bytes?
  /// In milliseconds; nil for none.
  package var deadline: Int64?

  /// Calls `visit` with each change of a block, in order.
  package static func each(
    in changes: Bytes, _ visit: (StoredChange) throws(StreamDecodingError) -> Void
  ) throws(StreamDecodingError) {
    var reader = StreamReader(changes)
    while reader.remaining > 0 {
      let keyBytes = try reader.readCount()
      let key = try reader.read(keyBytes)
      let size = try reader.readUnsigned()
      guard size > 0 else {
        try visit(StoredChange(key: key, value: nil, deadline: nil))
        continue
      }
      guard size - 1 <= UInt64(reader.remaining) else { throw reader.fail("a value that is cut off") }
      var inner = StreamReader(try reader.read(Int(size - 1)))
      let deadline: Int64? = try Bool.decode(from: &inner) ? try Int64.decode(from: &inner) : nil
      try visit(StoredChange(key: key, value: try inner.read(inner.remaining), deadline: deadline))
    }
  }
}
