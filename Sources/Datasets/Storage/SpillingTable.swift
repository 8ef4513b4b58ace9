import Groundwork

/// A table that combines values by key (see `OrderedTable`) and moves its entries to disk where they take more than a
/// task's memory.
///
/// On the map side of a shuffle what moves is cut by reduce partition, in the order of insertion; on the reduce side it is
/// a run sorted by the keys' hashes, and the runs are merged at the end. As long as nothing moves, keys come in the order
/// of insertion, else in that of their hashes. Values of one key are combined in the order in which they came either way.
public struct SpillingTable<Key: Hashable & Sendable, Value>: ~Copyable {
  @usableFromInline var table: OrderedTable<Key, Value>
  @usableFromInline var growth: GrowthGauge
  @usableFromInline let room: TaskRoom
  /// On the map side: where keys go.
  @usableFromInline let partitioner: Partitioner<Key>?
  @usableFromInline var spill: MapSpill<(Key, Value)>?
  @usableFromInline var runs: HashRuns<Key, Value>?

  /// For the map side.
  /// - Parameter label: the operator, for a warning.
  @inlinable public init(
    _ task: TaskContext, _ context: SluiceContext, label: String, _ partitioner: Partitioner<Key>
  ) {
    table = OrderedTable()
    growth = GrowthGauge(limit: context.blocks.taskMemory)
    room = TaskRoom(task, context.blocks, label: label)
    self.partitioner = partitioner
  }

  /// For the reduce side, or for combining within a task.
  /// - Parameters:
  ///   - label: the operator, for a warning.
  ///   - capacity: entries to make room for at first.
  @inlinable public init(_ task: TaskContext, _ context: SluiceContext, label: String, capacity: Int = 16) {
    let limit = context.blocks.taskMemory
    let entry = MemoryLayout<(Key, Value)>.stride + 16
    table = OrderedTable(capacity: limit.map { Swift.min(capacity, $0 / 4 / entry) } ?? capacity)
    growth = GrowthGauge(limit: limit)
    room = TaskRoom(task, context.blocks, label: label)
    partitioner = nil
  }

  /// Finds or makes the entry of each element's key, in order, as `OrderedTable.merge` does.
  @inlinable @inline(__always) public mutating func merge<Element>(
    _ elements: UnsafeBufferPointer<Element>, key: (Element) -> Key, initial: (Element) throws -> Value,
    update: (inout Value, Element) throws -> Void
  ) throws {
    var start = 0
    while start < elements.count {
      // A block may be far larger than a chunk.
      let end = Swift.min(elements.count &- start, growth.step) &+ start
      try table.merge(
        UnsafeBufferPointer(rebasing: elements[start..<end]), key: key, initial: initial, update: update)
      if growth.isDue(end &- start) { try measure() }
      start = end
    }
  }

  @usableFromInline mutating func measure() throws {
    let entries = table.view
    let bytes =
      table.allocatedBytes + ElementSize.estimate(entries, room.task.locals) - entries.count
      * MemoryLayout<(Key, Value)>.stride
    guard growth.isOver(bytes) else { return }
    if try moveToDisk() { growth.restart() } else { growth.rest() }
  }

  /// - Returns: whether it could.
  private mutating func moveToDisk() throws -> Bool {
    guard let partitioner else {
      if runs == nil {
        guard let codec = room.codec((Key, Value).self) else { return false }
        runs = try HashRuns(room.task, room.store, codec)
      }
      try runs?.add(table.view)
      table = OrderedTable()
      return true
    }
    if spill == nil {
      guard let codec = room.codec((Key, Value).self) else { return false }
      spill = try MapSpill(room.task, room.store, codec, partitions: partitioner.partitionCount)
    }
    guard let spill else { return false }
    let order = try table.order(by: partitioner)
    for partition in 0..<partitioner.partitionCount where order.starts[partition] < order.starts[partition + 1] {
      for index in order.entries[order.starts[partition]..<order.starts[partition + 1]] {
        if let base = table.view.baseAddress { try spill.append(base + Int(index)) }
      }
      try spill.end(partition)
    }
    table = OrderedTable()
    return true
  }

  /// The entries as one block for each partition that has some: in memory where the context's store has room, else on
  /// disk. For the map side.
  @inlinable public mutating func finish() throws -> [ShuffleBlock?] {
    let lease = try settleAll()
    if let spill { return try spilled(spill) }
    let count = partitioner?.partitionCount ?? 1
    guard let partitioner, count > 1 else {
      return [table.count == 0 ? nil : ArrayBlock(ContiguousArray(table.view), lease: lease)]
    }
    var buckets = [ContiguousArray<(Key, Value)>](repeating: [], count: count)
    for index in 0..<table.count {
      buckets[try partitioner.place(table.entries[index].0)].append(table.entries[index])
    }
    return buckets.map { $0.isEmpty ? nil : ArrayBlock($0, lease: lease) }
  }

  @usableFromInline func spilled(_ spill: MapSpill<(Key, Value)>) throws -> [ShuffleBlock?] { try spill.blocks() }

  @usableFromInline mutating func settleAll() throws -> MemoryLease? {
    guard room.store.taskMemory != nil else { return nil }
    if spill == nil, let lease = room.store.lease(ElementSize.estimate(table.view, room.task.locals), room.task.locals)
    {
      return lease
    }
    _ = try moveToDisk()
    return nil
  }

  /// Hands over all entries. For the reduce side, or for combining within a task; once.
  /// - Parameter combine: adds a later value of a key to an earlier one.
  @inlinable public mutating func emitAll(
    _ combine: @escaping (inout Value, Value) throws -> Void, _ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void
  ) throws {
    guard let runs else { return try table.emitPairs(emit) }
    try emitMerged(runs, combine, emit)
  }

  @usableFromInline mutating func emitMerged(
    _ runs: HashRuns<Key, Value>, _ combine: @escaping (inout Value, Value) throws -> Void,
    _ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void
  ) throws {
    try runs.add(table.view)
    table = OrderedTable()
    try runs.merge(combine, emit)
  }
}

extension OrderedTable {
  /// Bytes of the table's own memory.
  var allocatedBytes: Int { capacity * MemoryLayout<(Key, Value)>.stride + (8 << Int(slotBits)) }
}

extension OrderedTable where Key: Sendable {
  /// The entries' numbers, partition by partition and in the order of insertion within each; those of partition p are
  /// `entries[starts[p]..<starts[p + 1]]`.
  func order(by partitioner: Partitioner<Key>) throws -> (entries: [Int32], starts: [Int]) {
    let places = try (0..<count).map { try partitioner.place(entries[$0].0) }
    var starts = [Int](repeating: 0, count: partitioner.partitionCount + 1)
    for place in places { starts[place + 1] += 1 }
    for partition in 0..<partitioner.partitionCount { starts[partition + 1] += starts[partition] }
    var next = starts
    var order = [Int32](repeating: 0, count: count)
    for (index, place) in places.enumerated() {
      order[next[place]] = Int32(index)
      next[place] += 1
    }
    return (order, starts)
  }
}
