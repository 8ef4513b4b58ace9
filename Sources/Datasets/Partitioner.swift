import Groundwork

/// Decides the partition of a key.
public struct Partitioner<Key>: Sendable {
  /// How many partitions there are.
  public let partitionCount: Int
  /// Gives a partition in 0 ..< partitionCount.
  public let partition: @Sendable (Key) -> Int
  /// Equal identities put equal keys into the same partition; nil equals nothing.
  public let identity: String?

  /// A partitioner of one's own.
  /// - Parameters:
  ///   - partitionCount: more than 0.
  ///   - identity: a text that only partitioners share which place every key alike; nil where none can be named.
  ///   - partition: gives 0 ..< partitionCount, and always the same for the same key.
  @inlinable public init(
    partitionCount: Int, identity: String? = nil, _ partition: @escaping @Sendable (Key) -> Int
  ) {
    precondition(partitionCount > 0)
    self.partitionCount = partitionCount
    self.identity = identity
    self.partition = partition
  }
}

extension Partitioner where Key: Hashable & Sendable {
  /// By the key's hash: even, and the same for equal keys within this process.
  @inlinable public static func hash(_ partitionCount: Int) -> Partitioner {
    Partitioner(partitionCount: partitionCount, identity: "hash(\(partitionCount))") { key in
      HashPlacement.partition(UInt64(truncatingIfNeeded: key._rawHashValue(seed: HashPlacement.seed)), partitionCount)
    }
  }
}

/// How a 64-bit hash becomes a partition or a slot: by its high bits, multiplied down, which needs no division.
public enum HashPlacement {
  /// The seed of partitioning; tables use another, so that the keys of one partition do not crowd one part of a table.
  @inlinable public static var seed: Int { 0x5EED }

  /// The partition of a hash among `count`.
  @inlinable public static func partition(_ hash: UInt64, _ count: Int) -> Int {
    Int(truncatingIfNeeded: hash.multipliedFullWidth(by: UInt64(truncatingIfNeeded: count)).high)
  }
}
