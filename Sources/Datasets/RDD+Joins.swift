// Operators over two datasets of pairs. Where both are partitioned alike (after `reduceByKey`, `partitionBy`, another
// join) nothing is shuffled. Keys come in the order in which they were first met: this dataset's, then the other's.

extension RDD {
  /// For each key of either dataset: its values here and its values there.
  /// - Parameter partitions: partitions of the result; nil takes over a partitioning that is there, else the default.
  @inlinable public func cogroup<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, ([Value], [Other]))> where Element == (Key, Value) {
    grouping(other, partitions, label: "cogroup") { key, mine, theirs, output in
      output.append((key, (mine, theirs)))
    }
  }

  /// As `cogroup`.
  @inlinable public func groupWith<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>
  ) -> RDD<(Key, ([Value], [Other]))> where Element == (Key, Value) { cogroup(other) }

  /// For each key of both: every pair of a value here and a value there.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, (Value, Other))> where Element == (Key, Value) {
    grouping(other, partitions, label: "join") { key, mine, theirs, output in
      for value in mine {
        for match in theirs { output.append((key, (value, match))) }
      }
    }
  }

  /// As `join`, and the values here whose key has none there, once, with nil.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, (Value, Other?))> where Element == (Key, Value) {
    grouping(other, partitions, label: "leftOuterJoin") { key, mine, theirs, output in
      for value in mine {
        if theirs.isEmpty { output.append((key, (value, nil))) }
        for match in theirs { output.append((key, (value, match))) }
      }
    }
  }

  /// As `join`, and the values there whose key has none here, once, with nil.
  @inlinable public func rightOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, (Value?, Other))> where Element == (Key, Value) {
    grouping(other, partitions, label: "rightOuterJoin") { key, mine, theirs, output in
      if mine.isEmpty {
        for match in theirs { output.append((key, (nil, match))) }
      }
      for value in mine {
        for match in theirs { output.append((key, (value, match))) }
      }
    }
  }

  /// As `join`, and the values whose key has none on the other side, once, with nil.
  @inlinable public func fullOuterJoin<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, (Value?, Other?))> where Element == (Key, Value) {
    grouping(other, partitions, label: "fullOuterJoin") { key, mine, theirs, output in
      if mine.isEmpty {
        for match in theirs { output.append((key, (nil, match))) }
      }
      for value in mine {
        if theirs.isEmpty { output.append((key, (value, nil))) }
        for match in theirs { output.append((key, (value, match))) }
      }
    }
  }

  /// The pairs whose key does not stand in the other dataset.
  @inlinable public func subtractByKey<Key: Hashable & Sendable, Value, Other>(
    _ other: RDD<(Key, Other)>, partitions: Int? = nil
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    grouping(other, partitions, label: "subtractByKey") { key, mine, theirs, output in
      if theirs.isEmpty { for value in mine { output.append((key, value)) } }
    }
  }

  /// The elements that do not stand in the other dataset, with their repetitions.
  @inlinable public func subtract(_ other: RDD<Element>, partitions: Int? = nil) -> RDD<Element>
  where Element: Hashable & Sendable {
    let mine: RDD<(Element, Bool)> = map { ($0, true) }
    return mine.subtractByKey(other.map { ($0, true) }, partitions: partitions).map { $0.0 }
  }

  /// The elements of both, each once.
  @inlinable public func intersection(_ other: RDD<Element>, partitions: Int? = nil) -> RDD<Element>
  where Element: Hashable & Sendable {
    let mine: RDD<(Element, Bool)> = map { ($0, true) }
    let theirs: RDD<(Element, Bool)> = other.map { ($0, true) }
    return mine.grouping(theirs, partitions, label: "intersection", givesPairs: false) {
      element, mine, theirs, output in
      if !mine.isEmpty && !theirs.isEmpty { output.append(element) }
    }
  }

  /// Every pair of an element here and an element there: partitions here times partitions there.
  @inlinable public func cartesian<Other>(_ other: RDD<Other>) -> RDD<(Element, Other)> {
    let width = other.partitionCount
    return RDD<(Element, Other)>(
      context, label: "cartesian", partitionCount: partitionCount * width,
      dependencies: [.narrow(self), .narrow(other)],
      weight: { [self] in weight(of: $0 / width) + other.weight(of: $0 % width) }
    ) { [self] partition, task, emit in
      var theirs: [Other] = []
      try other.compute(partition % width, task) { theirs.append(contentsOf: $0) }
      var output = Chunk<(Element, Other)>()
      try compute(partition / width, task) { view in
        for element in view {
          for match in theirs { output.append((element, match)) }
          guard output.count >= Chunk<(Element, Other)>.usualCapacity else { continue }
          try emit(output.view)
          output.clear()
        }
      }
      if output.count > 0 { try emit(output.view) }
    }
  }

  /// Both datasets' values brought together by key; `give` gets each key with them.
  /// - Parameter givesPairs: whether what comes of a key are pairs with that key, which then stand in its partition.
  @inlinable func grouping<Key: Hashable & Sendable, Value, Other, Output>(
    _ other: RDD<(Key, Other)>, _ partitions: Int?, label: String, givesPairs: Bool = true,
    _ give: @escaping @Sendable (Key, [Value], [Other], inout Chunk<Output>) -> Void
  ) -> RDD<Output> where Element == (Key, Value) {
    let partitioner: Partitioner<Key> = commonPartitioner(other, partitions)
    let left = GroupingSide(self, partitioner)
    let right = GroupingSide(other, partitioner)
    let context = context
    return RDD<Output>(
      context, label: label, partitionCount: partitioner.partitionCount,
      dependencies: [left.dependency, right.dependency],
      partitioning: givesPairs ? partitioner.identity : nil
    ) { partition, task, emit in
      let combine = { (a: ([Value], [Other]), b: ([Value], [Other])) in (a.0 + b.0, a.1 + b.1) }
      var groups = SpillingTable<Key, ([Value], [Other])>(task, context, label: label)
      try left.read(partition, task) { view in
        try groups.merge(
          view, key: { $0.0 }, initial: { ([detached($0.1)], []) }, update: { $0.0.append(detached($1.1)) }, combine)
      }
      try right.read(partition, task) { view in
        try groups.merge(
          view, key: { $0.0 }, initial: { ([], [detached($0.1)]) }, update: { $0.1.append(detached($1.1)) }, combine)
      }
      var output = Chunk<Output>()
      try groups.emitAll(combine) { view in
        for index in 0..<view.count {
          give(view[index].0, view[index].1.0, view[index].1.1, &output)
          guard output.count >= Chunk<Output>.usualCapacity else { continue }
          try emit(output.view)
          output.clear()
        }
      }
      if output.count > 0 { try emit(output.view) }
    }
  }
}
