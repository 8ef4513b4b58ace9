import Datasets
import Groundwork

/// A key in one pane of a reduced window.
@usableFromInline package struct PaneKey<Key: Hashable & Sendable & StreamCodable>: Hashable, StreamCodable {
  /// The end of the pane, in milliseconds.
  @usableFromInline var end: Int64
  @usableFromInline var key: Key

  @inlinable init(end: Int64, key: Key) {
    self.end = end
    self.key = key
  }

  /// The end, then the key.
  @usableFromInline package func encode(to writer: inout ByteWriter) {
    writer.append(varint: end)
    key.encode(to: &writer)
  }
  @usableFromInline package static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Self {
    let end = try Int64.decode(from: &reader)
    return Self(end: end, key: try Key.decode(from: &reader))
  }
}

extension PaneKey: DetachableContainer {
  package static var containerDetachment: Detachment? {
    .part { (pane: inout Self, detach: (inout Key) -> Void) in detach(&pane.key) }
  }
}

/// Where panes and windows lie in time: both end at whole multiples, since 1970, of their lengths and of the slide.
@usableFromInline package struct PaneTimes: Sendable {
  @usableFromInline let length: Int64
  @usableFromInline let slide: Int64
  /// The longest stretch of which window and slide are whole multiples.
  @usableFromInline let pane: Int64

  @usableFromInline package init(_ spec: WindowSpec) {
    length = max(1, spec.length.inMilliseconds)
    slide = max(1, spec.slide.inMilliseconds)
    pane = spec.pane.inMilliseconds
  }

  @inlinable static func floor(_ time: Int64, _ step: Int64) -> Int64 {
    let rest = time % step
    return time - (rest < 0 ? rest + step : rest)
  }

  /// The end of the pane that a batch of this time belongs to.
  @inlinable func pane(of time: Int64) -> Int64 { Self.floor(time + pane - 1, pane) }

  /// The end of the last window at or before a time.
  @inlinable func lastEnd(_ time: Int64) -> Int64 { Self.floor(time, slide) }

  /// The end of the window that is due with a batch; nil where there is none.
  @usableFromInline package func due(_ frame: BatchFrame) -> Int64? {
    let end = lastEnd(frame.time.milliseconds)
    guard let previous = frame.previousTime else { return end == frame.time.milliseconds ? end : nil }
    return end > previous.milliseconds ? end : nil
  }

  /// Whether a window will need what belongs to a pane; not where it lies between two windows.
  @inlinable func isNeeded(pane end: Int64) -> Bool {
    let window = lastEnd(end + slide - 1)
    return end > window - length
  }

  /// From when on no window needs a pane: the last window's end at which the next one begins at or behind the pane's end.
  @inlinable func deadline(ofPane end: Int64) -> Int64 { end + length - slide }

  /// When a pane leaves the window that is made from the one before: the first window's end at which that begins at or
  /// behind the pane's end.
  @inlinable func leaves(_ end: Int64) -> Int64 { end + length }
}

extension DStream {
  /// Reduced windows with their panes kept as state: a restart goes on with them. What a batch writes is in proportion to
  /// its keys; a window reads all of its panes.
  /// - Parameters:
  ///   - partitions: state partitions; nil takes those that are stored, or the context's parallelism.
  ///   - keepsBatches: whether each batch is a pane of its own, because values do not become smaller by being merged.
  ///   - reduce: gives one pair a key, placed by the partitioner.
  ///   - update: merges a later value of a key into an earlier one.
  ///   - give: what comes of a window's pairs.
  @inlinable package func persistedWindows<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable, Output>(
    _ spec: WindowSpec, partitions: Int?, label: String, keepsBatches: Bool = false,
    reduce: @escaping @Sendable (RDD<Element>, Partitioner<Key>) -> RDD<(Key, Value)>,
    update: @escaping @Sendable (inout Value, Value) throws -> Void,
    give: @escaping @Sendable (RDD<(Key, Value)>) -> RDD<Output>
  ) -> DStream<Output> {
    let times = PaneTimes(spec)
    let stateful = KeyedOperator<PaneKey<Key>, Value, StateRows<Key, Value>>(
      context, partitions: partitions, schema: StateSchema(), shape: times.shape(keepsBatches: keepsBatches)
    ) { stableHash($0.key) }
    stateful.setDeadlineOfKey { times.deadline(ofPane: $0.end) }
    let stream = DStream<(Key, Value)>(
      context, label: "panes", parents: [self],
      windowEnd: { frame in times.due(frame).map { Timestamp(milliseconds: $0) } }
    ) { [self, context] frame in
      let partitioner = Partitioner<Key>.byStreamHash(stateful.partitionCount)
      let input = reduce(dataset(frame) ?? context.sluice.empty(), partitioner)
      // That of the windows, where the stream is one of windows.
      let time = self.time(frame).milliseconds
      let now = frame.time.milliseconds
      let end = times.due(frame)
      let run = stateful.begin(frame) { partition, task, view in
        view.timerTime = times.lastEnd(now)
        let pane = keepsBatches ? time : times.pane(of: time)
        let deadline = times.deadline(ofPane: pane)
        if times.isNeeded(pane: pane) {
          try input.compute(partition, task) { chunk in
            for index in 0..<chunk.count {
              let number = view.touch(PaneKey(end: pane, key: chunk[index].0))
              var value = chunk[index].1
              if let before = view.value(number) {
                value = before
                try update(&value, chunk[index].1)
              }
              view.set(number, detached(value), deadline: deadline)
            }
          }
        }
        var rows = StateRows<Key, Value>()
        if let end {
          try view.mergePanes(after: end - times.length, through: end, update) { rows.append($0, $1) }
        }
        if deadline <= times.lastEnd(now) {
          for number in 0..<view.touchedCount { view.set(number, nil, deadline: nil) }
        }
        for number in view.due() { view.set(number, nil, deadline: nil) }
        return rows
      }
      return RDD<(Key, Value)>(
        context.sluice, label: label, partitionCount: run.partitionCount, dependencies: [.narrow(input)],
        partitioning: partitioner.placement
      ) { partition, task, emit in try run.result(partition, task).output.emit(emit) }
    }
    let windows = stream.dueWindows(times, spec.slide, label: label, give)
    stateful.bind(to: stream, namedBy: windows)
    return windows
  }

  /// Between its slides a stream of windows has no dataset; its operator is computed all the same.
  @usableFromInline package func dueWindows<Output>(
    _ times: PaneTimes, _ slide: Duration, label: String, _ give: @escaping @Sendable (RDD<Element>) -> RDD<Output>
  ) -> DStream<Output> {
    DStream<Output>(context, label: label, parents: [self], slide: slide) { [self] frame in
      let windows = dataset(frame)
      return times.due(frame) == nil ? nil : windows.map(give)
    }
  }
}

extension StateView {
  /// The entries of the panes in `(after, through]`, oldest pane first. O(entries).
  @inlinable package func panes<K>(
    after: Int64, through: Int64, _ body: (PaneKey<K>, Value) throws -> Void
  ) rethrows where Key == PaneKey<K> {
    var panes: [Int64: ContiguousArray<(Key, Value)>] = [:]
    for (key, value) in all() where key.end > after && key.end <= through {
      panes[key.end, default: []].append((key, value))
    }
    for end in panes.keys.sorted() {
      for (key, value) in panes[end] ?? [] { try body(key, value) }
    }
  }

  /// Calls `give` with each key of the panes in `(after, through]` and its values merged, oldest pane first. O(entries).
  @inlinable package func mergePanes<K>(
    after: Int64, through: Int64, _ update: (inout Value, Value) throws -> Void, _ give: (K, Value) -> Void
  ) throws where Key == PaneKey<K> {
    var table = OrderedTable<K, Value>()
    try panes(after: after, through: through) { key, value in
      let (index, isNew) = table.entry(key.key, value)
      if !isNew { try update(&table[index], value) }
    }
    for index in 0..<table.count { give(table.key(at: index), table[index]) }
  }
}
