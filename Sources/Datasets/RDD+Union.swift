import Synchronization

extension SluiceContext {
  /// The elements of several datasets, with repetitions: their partitions one after the other.
  ///
  /// Where all are pairs placed alike (same partitioner), the result is placed so as well and has as many partitions as
  /// each of them: partition by partition, in the order of the datasets. Of no datasets, it is empty.
  public func union<Element>(_ datasets: [RDD<Element>]) -> RDD<Element> {
    guard let first = datasets.first else { return empty() }
    if datasets.count == 1 { return first }
    if let placement = first.partitioning,
      datasets.allSatisfy({ $0.partitioning == placement && $0.partitionCount == first.partitionCount })
    {
      return RDD(
        self, label: "union", partitionCount: first.partitionCount, dependencies: datasets.map { .narrow($0) },
        partitioning: placement
      ) { partition, task, emit in
        for dataset in datasets { try dataset.compute(partition, task, emit) }
      }
    }
    let members = UnionMembers(datasets)
    let union = RDD<Element>(
      self, label: "union", partitionCount: members.partitionCount, dependencies: datasets.map { .narrow($0) },
      reads: { partition in
        let (dataset, partition) = members.locate(partition)
        return [PartitionReference(dataset, partition)]
      }
    ) { partition, task, emit in
      let (dataset, partition) = members.locate(partition)
      try dataset.compute(partition, task, emit)
    }
    union.union = members
    return union
  }
}

extension RDD {
  /// The elements of both, with repetitions; see `SluiceContext.union`.
  public func union(_ other: RDD<Element>) -> RDD<Element> { context.union([self, other]) }
}

/// What a union consists of: finds the dataset that a partition belongs to, through unions within unions.
///
/// Of a union of a union of a union each computation would otherwise be a call within a call within a call; a loop over
/// `a = a.union(b)` makes 100,000 of them.
///
/// Sendable: constant but for the flat form, which is found once and stands under a lock.
final class UnionMembers<Element>: Sendable {
  private let members: [RDD<Element>]
  /// The first partition of each member, and the number of all.
  private let starts: [Int]
  /// How many unions stand within one another.
  private let depth: Int
  private let flat = Mutex<UnionMembers?>(nil)

  /// Unions nested no deeper are looked through one by one, so that one in between that is kept in memory is always
  /// found. Deeper ones are listed once, at the first computation: one in between that is kept in memory afterwards is
  /// then looked through as if it were not.
  private static var steppedDepthMax: Int { 16 }

  init(_ members: [RDD<Element>]) {
    self.members = members
    var starts = [0]
    starts.reserveCapacity(members.count + 1)
    for member in members { starts.append(starts[starts.count - 1] + member.partitionCount) }
    self.starts = starts
    depth = 1 + members.reduce(0) { Swift.max($0, $1.union?.depth ?? 0) }
  }

  var partitionCount: Int { starts[members.count] }

  /// The dataset to compute for a partition, not itself a union unless it is kept in memory. O(log members).
  func locate(_ partition: Int) -> (dataset: RDD<Element>, partition: Int) {
    var union = depth > Self.steppedDepthMax ? flattened() : self
    var partition = partition
    while true {
      let (dataset, place) = union.member(of: partition)
      guard let inner = dataset.union, !dataset.isPersisted else { return (dataset, place) }
      union = inner.depth > Self.steppedDepthMax ? inner.flattened() : inner
      partition = place
    }
  }

  private func member(of partition: Int) -> (dataset: RDD<Element>, partition: Int) {
    // The last member that starts at or before the partition; members without partitions start where the next one does.
    var low = 0
    var high = members.count - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if starts[middle] <= partition { low = middle } else { high = middle - 1 }
    }
    return (members[low], partition - starts[low])
  }

  private func flattened() -> UnionMembers {
    if let known = flat.withLock({ $0 }) { return known }
    var leaves: [RDD<Element>] = []
    var pending = Array(members.reversed())
    while let dataset = pending.popLast() {
      if let inner = dataset.union, !dataset.isPersisted {
        pending.append(contentsOf: inner.members.reversed())
      } else {
        leaves.append(dataset)
      }
    }
    let made = UnionMembers(leaves)
    return flat.withLock { flat in
      if let flat { return flat }
      flat = made
      return made
    }
  }
}
