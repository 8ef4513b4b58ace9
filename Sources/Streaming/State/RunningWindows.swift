import Datasets
import Groundwork

/// What a key comes to in the window that is made from the one before.
@usableFromInline package struct RunningValue<Value: StreamCodable>: StreamCodable {
  @usableFromInline var value: Value
  /// How many of the window's panes it occurs in: with the last one it goes.
  @usableFromInline var panes: Int

  @inlinable init(_ value: Value, panes: Int) {
    self.value = value
    self.panes = panes
  }

  /// The panes, then the value.
  @usableFromInline package func encode(to writer: inout ByteWriter) {
    writer.append(unsignedVarint: UInt64(panes))
    value.encode(to: &writer)
  }
  @usableFromInline package static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Self {
    let panes = Int(truncatingIfNeeded: try reader.readUnsigned())
    return Self(try Value.decode(from: &reader), panes: panes)
  }
}

extension RunningValue: DetachableContainer {
  package static var containerDetachment: Detachment? {
    .part { (running: inout Self, detach: (inout Value) -> Void) in detach(&running.value) }
  }
}

/// What a batch does to one partition of a window that is made from the one before.
@usableFromInline package struct PaneFlow<Key: Sendable, Value: Sendable>: Sendable {
  /// Where the window has to be made anew: its panes' values, oldest pane first.
  @usableFromInline var base: ContiguousArray<(Key, Value)> = []
  /// The values of panes that leave, oldest pane first.
  @usableFromInline var left: ContiguousArray<(Key, Value)> = []
  /// The batch's values, and whether each is the first of its key in the pane.
  @usableFromInline var came: ContiguousArray<(key: Key, value: Value, isFirst: Bool)> = []
  @inlinable init() {}
}

extension DStream {
  /// As `persistedWindows`, each window made of the one before: panes and the running window are both state. A window's
  /// cost is that of the panes at both ends and of handing over its keys.
  ///
  /// A batch is added as it comes, so that a window is there when it is due; what it is made of is kept until it leaves. A
  /// running window that is not stored (after a change of its length, say) is made anew from the panes.
  /// - Parameters:
  ///   - combine: associative and commutative.
  ///   - inverse: takes back what `combine` did.
  ///   - filter: which pairs are given.
  @inlinable
  package func persistedRunningWindows<
    Key: Hashable & Sendable & StreamCodable, Value: StreamCodable, Output
  >(
    _ spec: WindowSpec, partitions: Int?, label: String,
    reduce: @escaping @Sendable (RDD<Element>, Partitioner<Key>) -> RDD<(Key, Value)>,
    combine: @escaping @Sendable (Value, Value) throws -> Value,
    inverse: @escaping @Sendable (Value, Value) throws -> Value,
    filter: (@Sendable ((Key, Value)) throws -> Bool)?,
    give: @escaping @Sendable (RDD<(Key, Value)>) -> RDD<Output>
  ) -> DStream<Output> {
    let times = PaneTimes(spec)
    let panes = KeyedOperator<PaneKey<Key>, Value, PaneFlow<Key, Value>>(
      context, partitions: partitions, schema: StateSchema(), shape: times.shape()
    ) { stableHash($0.key) }
    panes.setDeadlineOfKey { times.leaves($0.end) }
    let running = KeyedOperator<Key, RunningValue<Value>, StateRows<Key, Value>>(
      context, partitions: partitions, schema: StateSchema(), shape: times.runningShape)
    let stream = DStream<(Key, Value)>(
      context, label: "panes", parents: [self],
      windowEnd: { frame in times.due(frame).map { Timestamp(milliseconds: $0) } }
    ) { [self, context] frame in
      let partitioner = Partitioner<Key>.byStreamHash(panes.partitionCount)
      let input = reduce(dataset(frame) ?? context.sluice.empty(), partitioner)
      let pane = times.pane(of: time(frame).milliseconds)
      let now = frame.time.milliseconds
      let isMadeAnew = running.isNew
      let paneRun = panes.begin(frame) { partition, task, view in
        view.timerTime = times.lastEnd(now)
        return try view.flow(input, partition, task, pane: pane, times, isMadeAnew: isMadeAnew, combine)
      }
      let due = times.due(frame)
      let run = running.begin(frame) { partition, task, view in
        let flow = try paneRun.result(partition, task).output
        for (key, value) in flow.base { try view.add(key, value, isFirst: true, combine) }
        for (key, value) in flow.left { try view.remove(key, value, inverse) }
        var rows = StateRows<Key, Value>()
        // A batch behind the end of the window that is due belongs to the next one.
        if let due, pane > due { try view.give(filter) { rows.append($0, $1) } }
        for (key, value, isFirst) in flow.came { try view.add(key, value, isFirst: isFirst, combine) }
        if let due, pane <= due { try view.give(filter) { rows.append($0, $1) } }
        return rows
      }
      return RDD<(Key, Value)>(
        context.sluice, label: label, partitionCount: run.partitionCount, dependencies: [.narrow(input)],
        partitioning: partitioner.placement
      ) { partition, task, emit in try run.result(partition, task).output.emit(emit) }
    }
    let windows = stream.dueWindows(times, spec.slide, label: label, give)
    panes.bind(to: stream, namedBy: windows)
    running.follow(panes, in: stream)
    return windows
  }
}

extension StateView {
  /// Puts a batch into its pane and takes out the panes that leave.
  @inlinable func flow<K>(
    _ input: RDD<(K, Value)>, _ partition: Int, _ task: TaskContext, pane: Int64, _ times: PaneTimes, isMadeAnew: Bool,
    _ combine: (Value, Value) throws -> Value
  ) throws -> PaneFlow<K, Value> where Key == PaneKey<K> {
    var flow = PaneFlow<K, Value>()
    for number in due() {
      // What is made anew is made without them.
      if !isMadeAnew, let value = value(number) { flow.left.append((key(number).key, value)) }
      set(number, nil, deadline: nil)
    }
    if isMadeAnew { panes(after: .min, through: .max) { flow.base.append(($0.key, $1)) } }
    guard times.isNeeded(pane: pane) else { return flow }
    try input.compute(partition, task) { chunk in
      for index in 0..<chunk.count {
        let number = touch(PaneKey(end: pane, key: chunk[index].0))
        let value = detached(chunk[index].1)
        let before = self.value(number)
        flow.came.append((detached(chunk[index].0), value, before == nil))
        set(number, try before.map { detached(try combine($0, value)) } ?? value, deadline: times.leaves(pane))
      }
    }
    return flow
  }

  /// A value comes into the running window.
  @inlinable func add<V>(
    _ key: Key, _ value: V, isFirst: Bool, _ combine: (V, V) throws -> V
  ) throws where Value == RunningValue<V> {
    let number = touch(key)
    guard var running = self.value(number) else {
      return set(number, RunningValue(value, panes: 1), deadline: nil)
    }
    running.value = detached(try combine(running.value, value))
    if isFirst { running.panes += 1 }
    set(number, running, deadline: nil)
  }

  /// A value of a pane goes out of the running window.
  @inlinable func remove<V>(
    _ key: Key, _ value: V, _ inverse: (V, V) throws -> V
  ) throws where Value == RunningValue<V> {
    let number = touch(key)
    guard var running = self.value(number), running.panes > 0 else {
      throw StreamingError.invalidDefinition(
        "a key leaves a window that it did not come into: equal keys must be encoded alike, and must not change while "
          + "they are in a stream")
    }
    running.panes -= 1
    if running.panes == 0 { return set(number, nil, deadline: nil) }
    running.value = detached(try inverse(running.value, value))
    set(number, running, deadline: nil)
  }

  /// Hands over the pairs of the running window, those that the filter lets through where there is one. O(keys).
  @inlinable func give<V>(
    _ filter: (@Sendable ((Key, V)) throws -> Bool)?, _ body: (Key, V) -> Void
  ) throws where Value == RunningValue<V> {
    for (key, running) in all() {
      if let filter, try !filter((key, running.value)) { continue }
      body(key, running.value)
    }
  }
}
