import Datasets
import Groundwork

// What reduced windows are made of: a stream that has one pair a key and batch, each placed by the same partitioner, is
// reduced to panes, and panes to windows. No shuffle from there on.

extension RDD {
  /// Datasets whose keys were placed alike, merged partition by partition: values of equal keys combined in the order of
  /// the datasets.
  /// - Parameter datasets: at least one, all with the same number of partitions.
  @inlinable package static func mergingPlaced<Key: Hashable & Sendable, Value>(
    _ datasets: [RDD], label: String, _ update: @escaping @Sendable (inout Value, Value) throws -> Void
  ) -> RDD where Element == (Key, Value) {
    let first = datasets[0]
    if datasets.count == 1 { return first }
    return RDD(
      first.context, label: label, partitionCount: first.partitionCount, dependencies: datasets.map { .narrow($0) },
      partitioning: first.partitioning
    ) { partition, task, emit in
      var table = OrderedTable<Key, Value>()
      for dataset in datasets {
        try dataset.compute(partition, task) { view in
          try table.merge(view, key: { $0.0 }, initial: { $0.1 }, update: { try update(&$0, $1.1) })
        }
      }
      try table.emitPairs(emit)
    }
  }
}

// Windows whose panes are in memory only: where the job has no checkpoint folder, or keys and values have no encoding.

extension DStream {
  @inlinable func defaultPartitioner<Key: Hashable & Sendable>(_ partitions: Int?) -> Partitioner<Key> {
    .hash(partitions ?? context.sluice.defaultParallelism)
  }

  @inlinable func windowsInMemory<Key: Hashable & Sendable, Value: Sendable>(
    _ spec: WindowSpec, _ partitioner: Partitioner<Key>,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    shareAmongWindows()
    let reduced: DStream<(Key, Value)> = onDatasets("reduceByKey") { $0.reduceByKey(partitioner, combine) }
    return reduced.reducedWindows(spec) { $0 = try combine($0, $1) }
  }

  @inlinable func windowsInMemory<Key: Hashable & Sendable, Value: Sendable>(
    _ spec: WindowSpec, _ partitioner: Partitioner<Key>,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value,
    inverse: @escaping @Sendable (Value, Value) throws -> Value, filter: (@Sendable ((Key, Value)) throws -> Bool)?
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    shareAmongWindows()
    let reduced: DStream<(Key, Value)> = onDatasets("reduceByKey") { $0.reduceByKey(partitioner, combine) }
    return reduced.slidWindows(spec, combine: combine, inverse: inverse, filter: filter)
  }

  @inlinable func groupsInMemory<Key: Hashable & Sendable, Value: Sendable>(
    _ spec: WindowSpec, _ partitioner: Partitioner<Key>
  ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
    shareAmongWindows()
    let grouped: DStream<(Key, [Value])> = onDatasets("groupByKey") { $0.groupByKey(partitioner) }
    return grouped.reducedWindows(spec) { $0.append(contentsOf: $1) }
  }

  @inlinable func countsInMemory(
    _ spec: WindowSpec, partitions: Int?
  ) -> DStream<(Element, Int)> where Element: Hashable & Sendable {
    shareAmongWindows()
    let count = partitions ?? context.sluice.defaultParallelism
    let counted: DStream<(Element, Int)> = onDatasets("countByValue") { $0.counted(partitions: count) }
    return counted.slidWindows(spec, combine: { $0 + $1 }, inverse: { $0 - $1 }, filter: nil)
  }

  @inlinable func oneInMemory(
    _ spec: WindowSpec, _ combine: @escaping @Sendable (Element, Element) throws -> Element,
    inverse: (@Sendable (Element, Element) throws -> Element)? = nil
  ) -> DStream<Element> where Element: Sendable {
    shareAmongWindows()
    let reduced: DStream<(Int, Element)> = onDatasets("reduce") { $0.reducedToOne(combine) }
    guard let inverse else { return reduced.reducedWindows(spec) { $0 = try combine($0, $1) }.values() }
    return reduced.slidWindows(spec, combine: combine, inverse: inverse, filter: nil).values()
  }
}

extension DStream {
  /// Windows over a stream of reduced batches: each window merges its panes.
  @inlinable package func reducedWindows<Key: Hashable & Sendable, Value: Sendable>(
    _ spec: WindowSpec, _ update: @escaping @Sendable (inout Value, Value) throws -> Void
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    let panes = PaneStore<(Key, Value)>(spec, of: self)
    let windows = DStream<(Key, Value)>(
      context, label: spec.label, parents: [self], slide: spec.slide, windowEnd: { spec.end($0) }
    ) { [self] frame in
      takeBatch(panes, frame)
      guard let end = spec.end(frame) else { return nil }
      makePanes(panes, frame, dropping: spec.start(end), through: end, update)
      let parts = panes.datasets(after: spec.start(end), through: end)
      return parts.isEmpty ? context.sluice.empty() : .mergingPlaced(parts, label: spec.label, update)
    }
    windows.needPast(spec.length + spec.slide)
    return windows
  }

  /// As `reducedWindows`, from the window before: what left is taken back and what came is added, so that each pane is
  /// touched twice, however many there are in a window.
  ///
  /// Each key is kept with the number of panes it occurs in, so that it goes with its last one. A partition of the window
  /// before that was not computed is no loss: then the panes are merged.
  @inlinable package func slidWindows<Key: Hashable & Sendable, Value: Sendable>(
    _ spec: WindowSpec, combine: @escaping @Sendable (Value, Value) throws -> Value,
    inverse: @escaping @Sendable (Value, Value) throws -> Value,
    filter: (@Sendable ((Key, Value)) throws -> Bool)?
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    let update: @Sendable (inout Value, Value) throws -> Void = { $0 = try combine($0, $1) }
    let panes = PaneStore<(Key, Value)>(spec, of: self)
    let running = RunningWindow(of: self)
    let windows = DStream<(Key, Value)>(
      context, label: spec.label, parents: [self], slide: spec.slide, windowEnd: { spec.end($0) }
    ) { [self] frame in
      takeBatch(panes, frame)
      guard let end = spec.end(frame) else { return nil }
      let start = spec.start(end)
      let before = running.window(endingAfter: start)
      makePanes(panes, frame, dropping: before.map { spec.start($0.end) } ?? start, through: end, update)
      let all = panes.datasets(after: start, through: end)
      let left = before.map { panes.datasets(after: spec.start($0.end), through: start) } ?? []
      let came = before.map { panes.datasets(after: $0.end, through: end) } ?? all
      guard let first = all.first ?? left.first else {
        running.forget()
        return context.sluice.empty()
      }
      let held = HeldPartitions(first.partitionCount)
      running.slide(to: end, held, frame.number)
      let previous = before?.held
      return RDD<(Key, Value)>(
        context.sluice, label: spec.label, partitionCount: first.partitionCount,
        dependencies: (left + all).map { .narrow($0) }, partitioning: first.partitioning,
        weight: { partition in
          // Expected work of passing an entry from window to window: 40 ns.
          guard let count = previous?.count(of: partition) else {
            return all.reduce(0) { $0 + $1.weight(of: partition) }
          }
          return (left + came).reduce(Int64(count) * 40) { $0 + $1.weight(of: partition) }
        }
      ) { partition, task, emit in
        let entries: ArrayBlock<WindowEntry<Key, Value>>
        if let block = held.block(partition) {
          entries = unsafeDowncast(block, to: ArrayBlock<WindowEntry<Key, Value>>.self)
        } else {
          var table = WindowTable<Key, Value>()
          if let block = previous?.block(partition) {
            table.load(unsafeDowncast(block, to: ArrayBlock<WindowEntry<Key, Value>>.self).elements)
            for pane in left { try pane.compute(partition, task) { try table.remove($0, inverse) } }
            for pane in came { try pane.compute(partition, task) { try table.add($0, combine) } }
          } else {
            for pane in all { try pane.compute(partition, task) { try table.add($0, combine) } }
          }
          entries = ArrayBlock(table.entries())
          held.store(entries, at: partition)
        }
        var output = Chunk<(Key, Value)>()
        for entry in entries.elements {
          if let filter, try !filter((entry.key, entry.value)) { continue }
          output.append((entry.key, entry.value))
          guard output.count >= Chunk<(Key, Value)>.usualCapacity else { continue }
          try emit(output.view)
          output.clear()
        }
        if output.count > 0 { try emit(output.view) }
      }
    }
    windows.needPast(spec.length + spec.slide)
    return windows
  }

  /// Holds the batch: what windows will be made of.
  @inlinable func takeBatch<Key: Hashable & Sendable, Value: Sendable>(
    _ panes: PaneStore<(Key, Value)>, _ frame: BatchFrame
  ) where Element == (Key, Value) {
    panes.add(frame, time(frame), dataset(frame)) { dataset, partitions in
      let held = dataset.held(in: partitions)
      return (held, { partition, task in try held.compute(partition, task) { _ in } })
    }
  }

  @inlinable func makePanes<Key: Hashable & Sendable, Value: Sendable>(
    _ panes: PaneStore<(Key, Value)>, _ frame: BatchFrame, dropping limit: Timestamp, through end: Timestamp,
    _ update: @escaping @Sendable (inout Value, Value) throws -> Void
  ) where Element == (Key, Value) {
    panes.update(
      frame, dropping: limit, through: end,
      merge: { $0.isEmpty ? nil : .mergingPlaced($0, label: "pane", update) }, hold: { $0.held(in: $1) })
  }
}

/// The last window of an operator with an inverse, from which the next one is made.
///
/// Sendable: only the driver's loop touches it; what it holds guards itself.
@usableFromInline package final class RunningWindow: @unchecked Sendable {
  /// A window whose partitions are held: the keys in it with their values.
  @usableFromInline package struct Window {
    @usableFromInline package let end: Timestamp
    @usableFromInline package let held: HeldPartitions
    let batch: BatchNumber
  }
  private var last: Window?
  /// The one before, to which a batch that is given up goes back.
  private var before: Window?

  /// - Parameter stream: the stream that is reduced: where it gives up a batch, the window made in that batch goes.
  @usableFromInline package init(of stream: AnyDStream) {
    stream.onDiscard { [self] batch in if last?.batch == batch { last = before } }
  }

  /// The last window, where it reaches behind `start`, which is where the next one begins.
  @usableFromInline package func window(endingAfter start: Timestamp) -> Window? {
    last.flatMap { $0.end > start ? $0 : nil }
  }

  @usableFromInline package func slide(to end: Timestamp, _ held: HeldPartitions, _ batch: BatchNumber) {
    before = last
    last = Window(end: end, held: held, batch: batch)
  }

  @usableFromInline package func forget() {
    last = nil
    before = nil
  }
}

/// A key of a window.
@usableFromInline package struct WindowEntry<Key, Value> {
  @usableFromInline package let key: Key
  @usableFromInline package var value: Value
  /// How many of the window's panes it occurs in.
  @usableFromInline package var panes: Int

  @inlinable package init(key: Key, value: Value, panes: Int) {
    self.key = key
    self.value = value
    self.panes = panes
  }
}

/// The keys of a window while it slides.
@usableFromInline package struct WindowTable<Key: Hashable, Value>: ~Copyable {
  @usableFromInline typealias Slot = (value: Value, panes: Int)
  @usableFromInline var table = OrderedTable<Key, Slot>()

  @inlinable package init() {}

  @inlinable package mutating func load(_ entries: ContiguousArray<WindowEntry<Key, Value>>) {
    for entry in entries { _ = table.entry(entry.key, (entry.value, entry.panes)) }
  }

  /// A pane comes in.
  @inlinable package mutating func add(
    _ pane: UnsafeBufferPointer<(Key, Value)>, _ combine: (Value, Value) throws -> Value
  ) rethrows {
    try table.merge(
      pane, key: { $0.0 }, initial: { ($0.1, 1) },
      update: { slot, pair in
        // A key that has just left begins anew: what the inverse left of it may not be exactly nothing.
        slot.value = slot.panes == 0 ? pair.1 : try combine(slot.value, pair.1)
        slot.panes += 1
      })
  }

  /// A pane goes out.
  @inlinable package mutating func remove(
    _ pane: UnsafeBufferPointer<(Key, Value)>, _ inverse: (Value, Value) throws -> Value
  ) throws {
    for index in 0..<pane.count {
      guard let found = table.find(pane[index].0), table[found].panes > 0 else {
        throw StreamingError.invalidDefinition(
          "a key leaves a window that it did not come into: equal keys must hash alike, and must not change while they "
            + "are in a stream")
      }
      table[found].panes -= 1
      if table[found].panes > 0 { table[found].value = try inverse(table[found].value, pane[index].1) }
    }
  }

  /// The keys that are in it.
  @inlinable package func entries() -> ContiguousArray<WindowEntry<Key, Value>> {
    var entries = ContiguousArray<WindowEntry<Key, Value>>()
    entries.reserveCapacity(table.count)
    for (key, slot) in table.view where slot.panes > 0 {
      entries.append(WindowEntry(key: key, value: slot.value, panes: slot.panes))
    }
    return entries
  }
}
