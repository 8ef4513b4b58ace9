// Operators over two datasets of pairs. Where one is placed by the partitioner already (after `reduceByKey`,
// `partitionBy`, another join) only the other is shuffled, and where both are, nothing. Keys come in the order in which
// they were first met: this dataset's, then the other's (in that of their hashes where memory did not do). All values of
// one key are held in memory.

extension RDD {
  /// For each key of both: every pair of a value here and a value there.
  /// - Parameters:
  ///   - other: the other dataset.
  ///   - partitions: partitions of the result. Where nil, those of the larger placement that is there, else the context's
  ///     default parallelism.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, (Value, Other))> where Element == (Key, Value) {
    join(other, partitioner(partitions, with: [other]))
  }

  /// As `join(_:partitions:)`, placed by a partitioner.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, (Value, Other))> where Element == (Key, Value) {
    grouping(other, partitioner, label: "join") { key, mine, theirs, output in
      mine.each { value in theirs.each { output.append((key, (value, $0))) } }
    }
  }

  /// As `join`, and the values here whose key has none there, once, with nil.
  /// - Parameters:
  ///   - other: the other dataset.
  ///   - partitions: partitions of the result. Where nil, those of the larger placement that is there, else the context's
  ///     default parallelism.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, (Value, Other?))> where Element == (Key, Value) {
    leftOuterJoin(other, partitioner(partitions, with: [other]))
  }

  /// As `leftOuterJoin(_:partitions:)`, placed by a partitioner.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, (Value, Other?))> where Element == (Key, Value) {
    grouping(other, partitioner, label: "leftOuterJoin") { key, mine, theirs, output in
      mine.each { value in
        if theirs.isEmpty { output.append((key, (value, nil))) }
        theirs.each { output.append((key, (value, $0))) }
      }
    }
  }

  /// As `join`, and the values there whose key has none here, once, with nil.
  /// - Parameters:
  ///   - other: the other dataset.
  ///   - partitions: partitions of the result. Where nil, those of the larger placement that is there, else the context's
  ///     default parallelism.
  @inlinable public func rightOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, (Value?, Other))> where Element == (Key, Value) {
    rightOuterJoin(other, partitioner(partitions, with: [other]))
  }

  /// As `rightOuterJoin(_:partitions:)`, placed by a partitioner.
  @inlinable public func rightOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, (Value?, Other))> where Element == (Key, Value) {
    grouping(other, partitioner, label: "rightOuterJoin") { key, mine, theirs, output in
      if mine.isEmpty { theirs.each { output.append((key, (nil, $0))) } }
      mine.each { value in theirs.each { output.append((key, (value, $0))) } }
    }
  }

  /// As `join`, and the values whose key has none on the other side, once, with nil.
  /// - Parameters:
  ///   - other: the other dataset.
  ///   - partitions: partitions of the result. Where nil, those of the larger placement that is there, else the context's
  ///     default parallelism.
  @inlinable public func fullOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, (Value?, Other?))> where Element == (Key, Value) {
    fullOuterJoin(other, partitioner(partitions, with: [other]))
  }

  /// As `fullOuterJoin(_:partitions:)`, placed by a partitioner.
  @inlinable public func fullOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, (Value?, Other?))> where Element == (Key, Value) {
    grouping(other, partitioner, label: "fullOuterJoin") { key, mine, theirs, output in
      if mine.isEmpty { theirs.each { output.append((key, (nil, $0))) } }
      mine.each { value in
        if theirs.isEmpty { output.append((key, (value, nil))) }
        theirs.each { output.append((key, (value, $0))) }
      }
    }
  }

  /// The pairs whose key does not stand in the other dataset.
  /// - Parameters:
  ///   - other: the other dataset.
  ///   - partitions: partitions of the result. Where nil, those of the larger placement that is there, else the context's
  ///     default parallelism.
  @inlinable public func subtractByKey<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    subtractByKey(other, partitioner(partitions, with: [other]))
  }

  /// As `subtractByKey(_:partitions:)`, placed by a partitioner.
  @inlinable public func subtractByKey<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    grouping(other, partitioner, label: "subtractByKey") { key, mine, theirs, output in
      if theirs.isEmpty { mine.each { output.append((key, $0)) } }
    }
  }

  /// Both datasets' values brought together by key; `give` gets each key with them.
  /// - Parameter givesPairs: whether what comes of a key are pairs with that key, which then stand in its partition.
  @inlinable func grouping<Key: Hashable & Sendable, Value, Other, Output>(
    _ other: RDD<(Key, Other)>, _ partitioner: Partitioner<Key>, label: String, givesPairs: Bool = true,
    _ give: @escaping @Sendable (Key, GroupedValues<Value>, GroupedValues<Other>, inout Chunk<Output>) -> Void
  ) -> RDD<Output> where Element == (Key, Value) {
    let left = GroupingSide(self, partitioner)
    let right = GroupingSide(other, partitioner)
    return RDD<Output>(
      context, label: label, partitionCount: partitioner.partitionCount,
      dependencies: [left.dependency, right.dependency], partitioning: givesPairs ? partitioner.placement : nil
    ) { [context] partition, task, emit in
      var groups = SpillingTable<Key, (GroupedValues<Value>, GroupedValues<Other>)>(task, context, label: label)
      let none = (GroupedValues<Value>(), GroupedValues<Other>())
      try left.group(partition, task, none, into: &groups) { $0.0.append($1) }
      try right.group(partition, task, none, into: &groups) { $0.1.append($1) }
      var output = Chunk<Output>()
      try groups.emitAll({
        $0.0.append($1.0)
        $0.1.append($1.1)
      }) { view in
        try view.lendEach { key, sides in
          give(key, sides.0, sides.1, &output)
          guard output.count >= Chunk<Output>.usualCapacity else { return }
          try emit(output.view)
          output.clear()
        }
      }
      if output.count > 0 { try emit(output.view) }
    }
  }
}
