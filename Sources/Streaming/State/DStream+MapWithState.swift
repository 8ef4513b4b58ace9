import Datasets
import Groundwork

/// The result of `mapWithState`: a stream of what its function returned, and the way to all keys' states.
///
/// Sendable: as DStream; the operator is set once, while it is defined, and never changes.
public final class MapWithStateDStream<
  Key: Hashable & Sendable & StreamCodable, S: StreamCodable, Mapped: Sendable
>: DStream<Mapped>, @unchecked Sendable {
  @usableFromInline let stateful: KeyedOperator<Key, S, ContiguousArray<Mapped>>

  @usableFromInline init(
    _ context: StreamingContext, parent: AnyDStream, _ stateful: KeyedOperator<Key, S, ContiguousArray<Mapped>>,
    generate: @escaping Generate
  ) {
    self.stateful = stateful
    super.init(context, label: "mapWithState", parents: [parent], generate: generate)
  }

  /// Every key with its state after each batch. O(keys) a batch, unlike `mapWithState` itself.
  public func stateSnapshots() -> DStream<(Key, S)> {
    let stateful = stateful
    stateful.keepSnapshots()
    return DStream<(Key, S)>(context, label: "stateSnapshots", parents: [self]) { [self] frame in
      guard let dataset = dataset(frame), let run = stateful.run(frame) else { return nil }
      return RDD<(Key, S)>(
        dataset.context, label: "stateSnapshots", partitionCount: run.partitionCount, dependencies: [.narrow(dataset)]
      ) { partition, task, emit in
        try run.result(partition, task).all.withUnsafeBufferPointer { try emit($0) }
      }
    }
  }
}

extension DStream {
  /// Runs a function over each pair with the state of its key, which is kept from batch to batch; the work of a batch is in
  /// proportion to its pairs and to the keys that time out, however many keys there are.
  ///
  /// State survives a restart where the job has a checkpoint folder; it is found again by the operator's name: give it one
  /// with `named`. Pairs of one key are taken in their order; the keys of a batch in the order in which they come.
  ///
  ///     let spec = StateSpec.function { (key: String, value: Int?, state: State<Int>) -> (String, Int) in
  ///       let sum = (state.get() ?? 0) + (value ?? 0)
  ///       if !state.isTimingOut { state.update(sum) }
  ///       return (key, sum)
  ///     }
  ///     pairs.mapWithState(spec.timeout(.seconds(3600))).named("sums")
  @inlinable
  public func mapWithState<Key: Hashable & Sendable & StreamCodable, Value, S: StreamCodable, Mapped: Sendable>(
    _ spec: StateSpec<Key, Value, S, Mapped>
  ) -> MapWithStateDStream<Key, S, Mapped> where Element == (Key, Value) {
    let stateful = KeyedOperator<Key, S, ContiguousArray<Mapped>>(
      context, partitions: spec.partitions, schema: spec.schema, apply: { $0.apply($1, keepsReplaced: $2) })
    let timeout = spec.timeoutDuration
    if let timeout { stateful.setDeadlineOfOld { ($0 + timeout).milliseconds } }
    let function = spec.function
    let stream = MapWithStateDStream<Key, S, Mapped>(context, parent: self, stateful) { [self, context] frame in
      let partitioner = stateful.partitioner
      let input = (dataset(frame) ?? context.sluice.empty()).partitionBy(partitioner)
      let initial = stateful.initialInput(spec.initial(context.sluice), partitioner)
      let time = frame.time
      let deadline = timeout.map { (time + $0).milliseconds }
      let run = stateful.begin(frame) { partition, task, view in
        view.timerTime = timeout == nil ? nil : time.milliseconds
        try view.takeIn(initial, partition, task, deadline: deadline)
        var output: ContiguousArray<Mapped> = []
        let state = stateful.makeState()
        try input.compute(partition, task) { chunk in
          for index in 0..<chunk.count {
            let number = view.touch(chunk[index].0)
            state.load(view.value(number), isTimingOut: false)
            if let mapped = try function(time, chunk[index].0, chunk[index].1, state) {
              output.append(detached(mapped))
            }
            switch state.change {
            case .updated: view.set(number, state.current, deadline: deadline)
            case .removed: view.set(number, nil, deadline: nil)
            // Looked at is in use: what times out is what nothing came for.
            case .none: if deadline != nil, state.exists { view.set(number, state.current, deadline: deadline) }
            }
          }
        }
        for number in view.due() {
          state.load(view.value(number), isTimingOut: true)
          if let mapped = try function(time, view.key(number), nil, state) { output.append(detached(mapped)) }
          if let misuse = state.misuse { throw StateMisuse(call: misuse) }
          view.set(number, nil, deadline: nil)
        }
        return output
      }
      return RDD<Mapped>(
        context.sluice, label: "mapWithState", partitionCount: run.partitionCount,
        dependencies: [.narrow(input)] + (initial.map { [.narrow($0)] } ?? [])
      ) { partition, task, emit in
        try run.result(partition, task).output.withUnsafeBufferPointer { if $0.count > 0 { try emit($0) } }
      }
    }
    stateful.bind(to: stream)
    return stream
  }
}

/// A state was changed while it timed out.
@usableFromInline struct StateMisuse: Error, CustomStringConvertible {
  @usableFromInline var call: StaticString
  @usableFromInline init(call: StaticString) { self.call = call }
  @usableFromInline var description: String {
    "State.\(call)() was called while the key timed out, when its state is removed anyway: ask isTimingOut first"
  }
}
