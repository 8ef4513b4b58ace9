extension RDD {
  /// For each key of either dataset: its values here and its values there.
  /// - Parameters:
  ///   - other: the other dataset.
  ///   - partitions: partitions of the result. Where nil, those of the larger placement that is there, else the context's
  ///     default parallelism.
  @inlinable public func cogroup<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, ([Value], [Other]))> where Element == (Key, Value) {
    cogroup(other, partitioner(partitions, with: [other]))
  }

  /// As `cogroup(_:partitions:)`, placed by a partitioner.
  @inlinable public func cogroup<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, ([Value], [Other]))> where Element == (Key, Value) {
    grouping(other, partitioner, label: "cogroup") { key, mine, theirs, output in
      output.append((key, (mine.array, theirs.array)))
    }
  }

  /// For each key of any of three datasets: its values in each.
  /// - Parameter partitions: partitions of the result; see `cogroup(_:partitions:)`.
  @inlinable public func cogroup<Key: Hashable & Sendable, Value, A, B>(
    _ a: RDD<(Key, A)>, _ b: RDD<(Key, B)>, partitions: Int? = nil
  ) -> RDD<(Key, ([Value], [A], [B]))> where Element == (Key, Value) {
    let partitioner: Partitioner<Key> = partitioner(partitions, with: [a, b])
    let (mine, first, second) = (
      GroupingSide(self, partitioner), GroupingSide(a, partitioner), GroupingSide(b, partitioner)
    )
    return RDD<(Key, ([Value], [A], [B]))>(
      context, label: "cogroup", partitionCount: partitioner.partitionCount,
      dependencies: [mine.dependency, first.dependency, second.dependency], partitioning: partitioner.placement
    ) { [context] partition, task, emit in
      var groups = SpillingTable<Key, ([Value], [A], [B])>(task, context, label: "cogroup")
      try mine.group(partition, task, ([], [], []), into: &groups) { $0.0.append($1) }
      try first.group(partition, task, ([], [], []), into: &groups) { $0.1.append($1) }
      try second.group(partition, task, ([], [], []), into: &groups) { $0.2.append($1) }
      try groups.emitAll(
        {
          $0.0 += $1.0
          $0.1 += $1.1
          $0.2 += $1.2
        }, emit)
    }
  }

  /// For each key of any of four datasets: its values in each.
  /// - Parameter partitions: partitions of the result; see `cogroup(_:partitions:)`.
  @inlinable public func cogroup<Key: Hashable & Sendable, Value, A, B, C>(
    _ a: RDD<(Key, A)>, _ b: RDD<(Key, B)>, _ c: RDD<(Key, C)>, partitions: Int? = nil
  ) -> RDD<(Key, ([Value], [A], [B], [C]))> where Element == (Key, Value) {
    let partitioner: Partitioner<Key> = partitioner(partitions, with: [a, b, c])
    let (mine, first) = (GroupingSide(self, partitioner), GroupingSide(a, partitioner))
    let (second, third) = (GroupingSide(b, partitioner), GroupingSide(c, partitioner))
    return RDD<(Key, ([Value], [A], [B], [C]))>(
      context, label: "cogroup", partitionCount: partitioner.partitionCount,
      dependencies: [mine.dependency, first.dependency, second.dependency, third.dependency],
      partitioning: partitioner.placement
    ) { [context] partition, task, emit in
      var groups = SpillingTable<Key, ([Value], [A], [B], [C])>(task, context, label: "cogroup")
      try mine.group(partition, task, ([], [], [], []), into: &groups) { $0.0.append($1) }
      try first.group(partition, task, ([], [], [], []), into: &groups) { $0.1.append($1) }
      try second.group(partition, task, ([], [], [], []), into: &groups) { $0.2.append($1) }
      try third.group(partition, task, ([], [], [], []), into: &groups) { $0.3.append($1) }
      try groups.emitAll(
        {
          $0.0 += $1.0
          $0.1 += $1.1
          $0.2 += $1.2
          $0.3 += $1.3
        }, emit)
    }
  }

  /// As `cogroup`.
  @inlinable public func groupWith<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>
  ) -> RDD<(Key, ([Value], [Other]))> where Element == (Key, Value) { cogroup(other) }

  /// As `cogroup` of three.
  @inlinable public func groupWith<Key: Hashable & Sendable, Value, A, B>(
    _ a: RDD<(Key, A)>, _ b: RDD<(Key, B)>
  ) -> RDD<(Key, ([Value], [A], [B]))> where Element == (Key, Value) { cogroup(a, b) }

  /// As `cogroup` of four.
  @inlinable public func groupWith<Key: Hashable & Sendable, Value, A, B, C>(
    _ a: RDD<(Key, A)>, _ b: RDD<(Key, B)>, _ c: RDD<(Key, C)>
  ) -> RDD<(Key, ([Value], [A], [B], [C]))> where Element == (Key, Value) { cogroup(a, b, c) }
}
