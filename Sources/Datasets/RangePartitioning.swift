import Groundwork
import Synchronization

extension Partitioner where Key: Comparable & Sendable {
  /// By ranges of keys: partition 0 has the keys up to `bounds[0]`, the next those above it up to `bounds[1]`, and the
  /// last one the keys above the last bound. Descending, the last of those ranges is partition 0.
  /// - Parameters:
  ///   - bounds: the upper ends of the ranges, each belonging to its range; sorted here.
  ///   - ascending: whether later partitions have greater keys.
  public static func range(bounds: [Key], ascending: Bool = true) -> Partitioner {
    let bounds = RangeBounds(bounds.sorted(), partitionCount: bounds.count + 1, ascending: ascending)
    return Partitioner(
      partitionCount: bounds.partitionCount, identity: bounds.identity, isOrdered: true, sampling: nil
    ) { bounds.partition($0) }
  }

  /// By ranges of keys of about equal size, whose bounds are drawn from a sample of the dataset (Spark's
  /// RangePartitioner). The sample is a stage of the job that uses the partitioner: nothing runs here.
  ///
  /// Equal keys share a partition, so some partitions stay empty where few keys are different.
  /// - Parameters:
  ///   - partitionCount: how many partitions there are; at least 1 is made of less.
  ///   - dataset: what is sampled: about 60 elements a partition of the result, at most 3 million.
  ///   - ascending: whether later partitions have greater keys.
  @inlinable public static func range<Value>(
    _ partitionCount: Int, of dataset: RDD<(Key, Value)>, ascending: Bool = true
  ) -> Partitioner {
    let count = Swift.max(1, partitionCount)
    // Nothing to find out where all keys go to one partition.
    if count == 1 { return range(bounds: [], ascending: ascending) }
    let sampling = RangeSampling<Key>(dataset, partitionCount: count, ascending: ascending)
    return Partitioner(partitionCount: count, identity: sampling.identity, isOrdered: true, sampling: sampling) {
      sampling.known?.partition($0) ?? 0
    }
  }
}

/// The bounds of a range partitioner.
///
/// Sendable: constant.
@usableFromInline final class RangeBounds<Key>: Sendable {
  @usableFromInline let partitionCount: Int
  @usableFromInline let partition: @Sendable (Key) -> Int

  @inlinable init(_ bounds: [Key], partitionCount: Int, ascending: Bool) where Key: Comparable & Sendable {
    self.partitionCount = partitionCount
    let last = partitionCount - 1
    partition = { key in
      // The first bound that is not below the key.
      var low = 0
      var high = bounds.count
      while low < high {
        let middle = (low &+ high) &>> 1
        if bounds[middle] < key { low = middle &+ 1 } else { high = middle }
      }
      return ascending ? low : last &- low
    }
  }

  /// Names these bounds among those that are alive.
  @usableFromInline var identity: String { "range#\(UInt(bitPattern: ObjectIdentifier(self)))" }
}

/// The sample behind a range partitioner: a shuffle to one partition, whose blocks are the map partitions' samples.
///
/// Sendable: constant but for the bounds, which stand under a lock and are found once: were they drawn anew after a loss,
/// map tasks before and after it could part the same keys differently.
@usableFromInline final class RangeSampling<Key>: Sendable {
  @usableFromInline let shuffle: ShuffleDependency
  private let bounds: @Sendable (ShuffleDependency) throws -> RangeBounds<Key>
  private let found = Mutex<RangeBounds<Key>?>(nil)

  /// Sample elements for each partition of the result, in Spark's numbers: 20, three times as many to be on the safe side
  /// of uneven partitions.
  @usableFromInline static var sampleSize: Int { 60 }

  @inlinable convenience init<Value>(_ dataset: RDD<(Key, Value)>, partitionCount: Int, ascending: Bool)
  where Key: Comparable & Sendable {
    let wanted = Swift.min(Self.sampleSize * partitionCount, 3_000_000)
    let size = (wanted + dataset.partitionCount - 1) / Swift.max(1, dataset.partitionCount)
    let shuffle = ShuffleDependency(parent: dataset, reducePartitions: 1) { partition, task in
      var reservoir = Reservoir<Key>(capacity: size, seed: 0x5A4D_504C, stream: partition)
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count { reservoir.add(view[index].0) }
      }
      if reservoir.kept.isEmpty { return [nil] }
      // Each element of the sample stands for as many of the partition.
      let weight = Double(reservoir.seen) / Double(reservoir.kept.count)
      return [ArrayBlock(ContiguousArray(reservoir.kept.map { (detached($0), weight) }))]
    }
    self.init(shuffle) { shuffle in
      var candidates: [(Key, Double)] = []
      try shuffle.read(0) { (view: UnsafeBufferPointer<(Key, Double)>) in candidates.append(contentsOf: view) }
      candidates.sort { $0.0 < $1.0 }
      let bounds = Self.cut(candidates, partitionCount)
      return RangeBounds(bounds, partitionCount: partitionCount, ascending: ascending)
    }
  }

  @usableFromInline init(
    _ shuffle: ShuffleDependency, _ bounds: @escaping @Sendable (ShuffleDependency) throws -> RangeBounds<Key>
  ) {
    self.shuffle = shuffle
    self.bounds = bounds
  }

  /// Names this sample among those that are alive.
  @usableFromInline var identity: String { "range#\(UInt(bitPattern: ObjectIdentifier(self)))" }

  /// The bounds, nil before a task asked for them.
  @usableFromInline var known: RangeBounds<Key>? { found.withLock { $0 } }

  /// The partitioner with its bounds, from the sample where they are not known yet.
  @usableFromInline func partitioner(like lazy: Partitioner<Key>) throws -> Partitioner<Key> {
    let bounds = try resolve()
    return Partitioner(
      partitionCount: lazy.partitionCount, identity: lazy.identity, isOrdered: true, sampling: self, bounds.partition)
  }

  /// The bounds; they are drawn outside of the lock, and of two tasks the first counts.
  @usableFromInline func resolve() throws -> RangeBounds<Key> {
    if let known { return known }
    let drawn = try bounds(shuffle)
    return found.withLock { found in
      if let found { return found }
      found = drawn
      return drawn
    }
  }

  /// Bounds that cut weighted sorted keys into parts of about equal weight; at most count - 1, each once.
  @inlinable static func cut(_ candidates: [(Key, Double)], _ count: Int) -> [Key] where Key: Comparable {
    let step = candidates.reduce(0) { $0 + $1.1 } / Double(count)
    var bounds: [Key] = []
    var weight = 0.0
    var target = step
    for (key, share) in candidates where bounds.count < count - 1 {
      weight += share
      guard weight >= target else { continue }
      if let last = bounds.last, !(last < key) { continue }
      bounds.append(key)
      target += step
    }
    return bounds
  }
}

/// A uniform sample of a sequence of unknown length (Vitter, "Random sampling with a reservoir", 1985, algorithm R).
@usableFromInline struct Reservoir<Element> {
  @usableFromInline let capacity: Int
  @usableFromInline var kept: [Element] = []
  @usableFromInline var seen = 0
  @usableFromInline var random: SeededRandom

  @inlinable init(capacity: Int, seed: UInt64, stream: Int) {
    self.capacity = capacity
    random = SeededRandom(seed: seed, stream: stream)
  }

  @inlinable mutating func add(_ element: Element) {
    seen &+= 1
    if kept.count < capacity {
      kept.append(element)
      return
    }
    let place = Int(truncatingIfNeeded: random.next().multipliedFullWidth(by: UInt64(seen)).high)
    if place < capacity { kept[place] = element }
  }
}
