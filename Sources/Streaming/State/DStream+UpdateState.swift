import Datasets
import Groundwork

extension DStream {
  /// Every key with its state after each batch: `update` is called in each batch for every key that has a state or new
  /// values, and returns the key's new state, nil to remove it. What it returns as it was is not written again.
  ///
  /// As in Spark the work of a batch is in proportion to all keys; where few of them are touched, use `mapWithState`. State
  /// survives a restart where the job has a checkpoint folder; it is found again by the operator's name: give it one with
  /// `named`.
  /// - Parameters:
  ///   - partitions: state partitions; where none is given it stays what it was at the first start.
  ///   - initial: the state before the job's first batch; a restart does not look at it.
  ///   - schema: how states are written, and how older ones are read.
  ///   - update: the key's values of the batch in their order, and its state.
  @inlinable public func updateStateByKey<Key: Hashable & Sendable & StreamCodable, Value, S: StreamCodable>(
    partitions: Int? = nil, initial: RDD<(Key, S)>? = nil, schema: StateSchema<S> = StateSchema(),
    _ update: @escaping @Sendable (_ values: [Value], _ state: S?) throws -> S?
  ) -> DStream<(Key, S)> where Element == (Key, Value) {
    updateStateByKey(partitions: partitions, initial: initial, schema: schema) { _, _, values, state in
      try update(values, state)
    }
  }

  /// As `updateStateByKey(partitions:initial:schema:_:)`, of a function that hears the batch's time and the key as well.
  @inlinable public func updateStateByKey<Key: Hashable & Sendable & StreamCodable, Value, S: StreamCodable>(
    partitions: Int? = nil, initial: RDD<(Key, S)>? = nil, schema: StateSchema<S> = StateSchema(),
    _ update: @escaping @Sendable (_ time: Timestamp, _ key: Key, _ values: [Value], _ state: S?) throws -> S?
  ) -> DStream<(Key, S)> where Element == (Key, Value) {
    let stateful = KeyedOperator<Key, S, StateRows<Key, S>>(
      context, partitions: partitions, schema: schema, apply: { $0.apply($1, keepsReplaced: $2) })
    let stream = DStream<(Key, S)>(context, label: "updateStateByKey", parents: [self]) { [self, context] frame in
      let partitioner = stateful.partitioner
      let input = (dataset(frame) ?? context.sluice.empty()).partitionBy(partitioner)
      let initial = stateful.initialInput(initial, partitioner)
      let time = frame.time
      let run = stateful.begin(frame) { partition, task, view in
        try view.takeIn(initial, partition, task, deadline: nil)
        var values = [[Value]](repeating: [], count: view.touchedCount)
        try input.compute(partition, task) { chunk in
          for index in 0..<chunk.count {
            let number = view.touch(chunk[index].0)
            if number == values.count { values.append([]) }
            values[number].append(detached(chunk[index].1))
          }
        }
        var rows = StateRows<Key, S>(capacity: view.keyLimit)
        try view.updateAll { key, number, state in
          let state = try update(time, key, number.map { values[$0] } ?? [], state)
          if let state { rows.append(key, state) }
          return state
        }
        return rows
      }
      return RDD<(Key, S)>(
        context.sluice, label: "updateStateByKey", partitionCount: run.partitionCount,
        dependencies: [.narrow(input)] + (initial.map { [.narrow($0)] } ?? []), partitioning: partitioner.placement
      ) { partition, task, emit in
        try run.result(partition, task).output.emit(emit)
      }
    }
    stateful.bind(to: stream)
    return stream
  }
}

/// Keys with their states. (A tuple of Sendable parts is Sendable, but not to a generic constraint.)
@usableFromInline struct StateRows<Key: Sendable, S: Sendable>: Sendable {
  @usableFromInline var rows: ContiguousArray<(Key, S)> = []
  @inlinable init(capacity: Int = 0) { rows.reserveCapacity(capacity) }
  @inlinable mutating func append(_ key: Key, _ state: S) { rows.append((key, detached(state))) }
  @inlinable func emit(_ emit: (UnsafeBufferPointer<(Key, S)>) throws -> Void) rethrows {
    try rows.withUnsafeBufferPointer { if $0.count > 0 { try emit($0) } }
  }
}

extension StateView {
  /// In an operator's first batch, puts its initial state in.
  @inlinable package func takeIn(
    _ initial: RDD<(Key, Value)>?, _ partition: Int, _ task: TaskContext, deadline: Int64?
  ) throws {
    guard isNew, let initial else { return }
    try initial.compute(partition, task) { chunk in
      for index in 0..<chunk.count { set(touch(chunk[index].0), detached(chunk[index].1), deadline: deadline) }
    }
  }
}

extension KeyedOperator {
  /// The initial state by state partition, in the operator's first batch; nil in later ones.
  @usableFromInline package func initialInput(
    _ initial: @autoclosure () -> RDD<(Key, Value)>?, _ partitioner: Partitioner<Key>
  ) -> RDD<(Key, Value)>? {
    isNew ? initial()?.partitionBy(partitioner) : nil
  }

  @usableFromInline func setDeadlineOfOld(_ deadline: @escaping @Sendable (Timestamp) -> Int64) {
    deadlineOfOld = deadline
  }

  @usableFromInline func makeState() -> State<Value> { State() }
}

extension DStream {
  /// As `named`, for an operator whose state was stored under other names: it is found under them, once, and then stands
  /// under the new one.
  @discardableResult public func named(_ name: String, aliases: [String]) -> Self {
    named(name)
    if let stateful = StateCoordinator.of(context).stateful(self) {
      stateful.add(aliases: aliases)
    } else {
      context.note(
        .invalidDefinition("'\(name)' has aliases and no state: they belong to the operator that keeps the state"))
    }
    return self
  }
}
