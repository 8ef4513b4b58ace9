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

/// Where panes and windows lie in time: both end at whole multiples, since 1970, of their lengths and of the slide.
@usableFromInline package struct PaneTimes: Sendable {
  @usableFromInline let length: Int64
  @usableFromInline let slide: Int64
  /// The longest stretch of which window and slide are whole multiples.
  @usableFromInline let pane: Int64

  @usableFromInline package init(length: Duration, slide: Duration) {
    self.length = max(1, length.inMilliseconds)
    self.slide = max(1, slide.inMilliseconds)
    var (larger, smaller) = (self.length, self.slide)
    while smaller > 0 { (larger, smaller) = (smaller, larger % smaller) }
    pane = larger
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

  /// From when on no window needs a pane: the last window's end at which the next one begins at or behind the pane's end.
  @inlinable func deadline(ofPane end: Int64) -> Int64 { end + length - slide }
}

extension DStream {
  /// Windows over a stream that has one pair a key and batch, with the reduced panes kept as state: a restart goes on with
  /// them. What a batch writes is in proportion to its keys; a window reads all of its panes.
  @inlinable package func persistedWindows<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    length: Duration, slide: Duration, partitions: Int?, label: String,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    let times = PaneTimes(length: length, slide: slide)
    let stateful = KeyedOperator<PaneKey<Key>, Value, StateRows<Key, Value>>(
      context, partitions: partitions, schema: StateSchema()
    ) { stableHash($0.key) }
    let stream = DStream<(Key, Value)>(
      context, label: "panes", parents: [self],
      windowEnd: { frame in times.due(frame).map { Timestamp(milliseconds: $0) } }
    ) { [self, context] frame in
      let partitioner = Partitioner<Key>.byStreamHash(stateful.partitionCount)
      let input = (dataset(frame) ?? context.sluice.empty()).reduceByKey(partitioner, combine)
      let now = frame.time.milliseconds
      let end = times.due(frame)
      let run = stateful.begin(frame) { partition, task, view in
        view.timerTime = times.lastEnd(now)
        let pane = times.pane(of: now)
        let deadline = times.deadline(ofPane: pane)
        try input.compute(partition, task) { chunk in
          for index in 0..<chunk.count {
            let number = view.touch(PaneKey(end: pane, key: chunk[index].0))
            let value = try view.value(number).map { try combine($0, chunk[index].1) } ?? chunk[index].1
            view.set(number, detached(value), deadline: deadline)
          }
        }
        var rows = StateRows<Key, Value>()
        if let end {
          try view.mergePanes(after: end - times.length, through: end, combine) { rows.append($0, $1) }
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
    let windows = stream.dueWindows(times, slide, label: label)
    stateful.bind(to: stream, namedBy: windows)
    return windows
  }

  /// Between its slides a stream of windows has no dataset; its operator is computed all the same.
  @usableFromInline package func dueWindows(_ times: PaneTimes, _ slide: Duration, label: String) -> DStream<Element> {
    DStream<Element>(context, label: label, parents: [self], slide: slide) { [self] frame in
      let windows = dataset(frame)
      return times.due(frame) == nil ? nil : windows
    }
  }
}

extension StateView {
  /// Calls `give` with each key of the panes in `(after, through]` and its values combined, oldest pane first. O(entries).
  @inlinable package func mergePanes<K>(
    after: Int64, through: Int64, _ combine: (Value, Value) throws -> Value, _ give: (K, Value) -> Void
  ) throws where Key == PaneKey<K> {
    var panes: [Int64: ContiguousArray<(K, Value)>] = [:]
    for (key, value) in all() where key.end > after && key.end <= through {
      panes[key.end, default: []].append((key.key, value))
    }
    var table = OrderedTable<K, Value>()
    for end in panes.keys.sorted() {
      for (key, value) in panes[end] ?? [] { try table.merge(key, value, combine) }
    }
    for index in 0..<table.count { give(table.key(at: index), table[index]) }
  }
}
