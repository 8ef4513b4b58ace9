import Groundwork

/// Decides the partition of a key.
public struct Partitioner<Key>: Sendable {
  /// How many partitions there are.
  public let partitionCount: Int
  /// Gives a partition in 0 ..< partitionCount. That of a range partitioner which samples a dataset is of use only
  /// after `resolved()`.
  public let partition: @Sendable (Key) -> Int
  /// Equal identities put equal keys into the same partition; nil equals nothing.
  public let identity: String?
  /// Whether smaller keys stand in earlier partitions, or all in later ones.
  @usableFromInline let isOrdered: Bool
  /// Where the bounds come from a sample: what makes it.
  @usableFromInline let sampling: RangeSampling<Key>?

  /// A partitioner of one's own.
  /// - Parameters:
  ///   - partitionCount: how many partitions there are; at least 1 is made of less.
  ///   - identity: a name that stands for this function: datasets placed by partitioners of one name and number of
  ///     partitions are brought together without a shuffle. Where nil, each placement is taken to be a new one.
  ///   - partition: gives a partition in 0 ..< partitionCount, the same for equal keys. A task that gets another number
  ///     fails with `DatasetError`.
  @inlinable public init(
    partitionCount: Int, identity: String? = nil, _ partition: @escaping @Sendable (Key) -> Int
  ) {
    self.init(partitionCount: partitionCount, identity: identity, isOrdered: false, sampling: nil, partition)
  }

  @inlinable init(
    partitionCount: Int, identity: String?, isOrdered: Bool, sampling: RangeSampling<Key>?,
    _ partition: @escaping @Sendable (Key) -> Int
  ) {
    self.partitionCount = Swift.max(1, partitionCount)
    self.partition = partition
    self.identity = identity
    self.isOrdered = isOrdered
    self.sampling = sampling
  }

  /// The partition of a key.
  /// - Throws: `DatasetError` where the function gives one that does not exist.
  @inlinable public func place(_ key: Key) throws -> Int {
    let place = partition(key)
    if place >= 0 && place < partitionCount { return place }
    throw DatasetError(.partitionOutOfRange(place, count: partitionCount), operation: identity ?? "partitionBy")
  }

  /// The partitioner to ask within a task: one that samples has its bounds now.
  /// - Throws: `ShuffleOutputMissing` where the sample is not there.
  @inlinable public func resolved() throws -> Partitioner { try sampling?.partitioner(like: self) ?? self }

  /// What a dataset keeps to say that its keys were placed so; nil where the partitioner has no identity.
  @inlinable public var placement: Placement? { identity.map { Placement(identity: $0, partitioner: self) } }
}

extension Partitioner where Key: Hashable & Sendable {
  /// By the key's hash: even, and the same for equal keys within this process.
  /// - Parameter partitionCount: how many partitions there are; at least 1 is made of less.
  @inlinable public static func hash(_ partitionCount: Int) -> Partitioner {
    let count = Swift.max(1, partitionCount)
    return Partitioner(partitionCount: count, identity: "hash(\(count))") { key in
      HashPlacement.partition(UInt64(truncatingIfNeeded: key._rawHashValue(seed: HashPlacement.seed)), count)
    }
  }
}

/// How a dataset's pairs were placed: equal placements have equal keys in the same partition, so that nothing has to be
/// shuffled between them.
public struct Placement: Sendable, Equatable {
  /// The partitioner's identity.
  public let identity: String
  /// A `Partitioner` of the dataset's key type.
  private let partitioner: any Sendable

  /// - Parameters:
  ///   - identity: the partitioner's identity.
  ///   - partitioner: the partitioner.
  public init<Key>(identity: String, partitioner: Partitioner<Key>) {
    self.identity = identity
    self.partitioner = partitioner
  }

  /// The partitioner, nil where it is one for other keys.
  public func partitioner<Key>(for key: Key.Type) -> Partitioner<Key>? { partitioner as? Partitioner<Key> }

  /// Whether both place equal keys alike.
  @inlinable public static func == (a: Placement, b: Placement) -> Bool { a.identity == b.identity }
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

extension RDD {
  /// The partitioner of an operator over keyed datasets, as in Spark: one that was asked for, else the largest that a
  /// dataset has already, so that it need not be shuffled, else a new hash partitioner of the context's default
  /// parallelism.
  ///
  /// One that is there is passed over where it is smaller than the default and would make a tenth or less of the
  /// partitions that the largest dataset has.
  @inlinable func partitioner<Key: Hashable & Sendable>(
    _ partitions: Int?, with others: [AnyRDD] = []
  ) -> Partitioner<Key> {
    if let partitions { return .hash(partitions) }
    if partitioning == nil, others.allSatisfy({ $0.partitioning == nil }) { return .hash(context.defaultParallelism) }
    var found: Partitioner<Key>?
    var largest = partitionCount
    for dataset in [self as AnyRDD] + others {
      largest = Swift.max(largest, dataset.partitionCount)
      guard let partitioner = dataset.partitioning?.partitioner(for: Key.self),
        partitioner.partitionCount > found?.partitionCount ?? 0
      else { continue }
      found = partitioner
    }
    guard let found, found.partitionCount >= context.defaultParallelism || found.partitionCount * 10 > largest else {
      return .hash(context.defaultParallelism)
    }
    return found
  }

  /// Whether the partitioner finds each key where it stands.
  @inlinable func isPlaced<Key>(by partitioner: Partitioner<Key>) -> Bool {
    guard let identity = partitioner.identity, let partitioning else { return false }
    return partitioning.identity == identity && partitionCount == partitioner.partitionCount
  }

  /// What has to be there before a task may place this dataset's keys.
  @inlinable func dependencies<Key>(placedBy partitioner: Partitioner<Key>) -> [Dependency] {
    [.narrow(self)] + (partitioner.sampling.map { [.shuffle($0.shuffle)] } ?? [])
  }

  /// The dataset to shuffle by the partitioner: itself, or itself behind the sample that the partitioner waits for.
  @inlinable func ready<Key>(for partitioner: Partitioner<Key>) -> RDD {
    if partitioner.sampling == nil { return self }
    return RDD(
      context, label: "sample", partitionCount: partitionCount, dependencies: dependencies(placedBy: partitioner),
      reads: { [self] in [PartitionReference(self, $0)] }
    ) { [self] partition, task, emit in try compute(partition, task, emit) }
  }
}
