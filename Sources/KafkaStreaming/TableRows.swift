import Groundwork

/// The rows of a table at one moment: immutable, and shared by all who hold it.
///
/// The rows lie in shards by hash, so that a new state of the table copies the shards that changed and no others.
public struct TableRows<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  @inlinable static var shardCount: Int { 256 }
  @usableFromInline var shards: [[Key: Value]]
  /// How many rows there are.
  public private(set) var count = 0

  /// No rows.
  public init() { shards = Array(repeating: [:], count: TableRows.shardCount) }

  @inlinable static func shard(_ key: Key) -> Int {
    Int(truncatingIfNeeded: UInt(bitPattern: key.hashValue) & UInt(shardCount - 1))
  }

  /// The value of a key; nil where there is none.
  @inlinable public subscript(_ key: Key) -> Value? { shards[TableRows.shard(key)][key] }

  /// All rows, in no order that means anything.
  public var all: [(Key, Value)] {
    var rows: [(Key, Value)] = []
    rows.reserveCapacity(count)
    for shard in shards { for (key, value) in shard { rows.append((key, value)) } }
    return rows
  }

  /// Puts a value in place of the key's old one; nil removes it.
  mutating func set(_ key: Key, _ value: Value?) {
    let shard = TableRows.shard(key)
    if let value {
      if shards[shard].updateValue(value, forKey: key) == nil { count += 1 }
    } else if shards[shard].removeValue(forKey: key) != nil {
      count -= 1
    }
  }
}
