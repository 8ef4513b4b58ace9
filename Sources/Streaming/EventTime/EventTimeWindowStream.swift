import Datasets
import Groundwork

/// Pairs by key and window of event time, still to be brought together.
public struct EventTimeWindowedPairs<Key: Hashable & Sendable & StreamCodable, Value: Sendable>: Sendable {
  @usableFromInline let stream: EventTimeStream<(Key, Value)>
  @usableFromInline let window: EventTimeWindow
  @usableFromInline let lateness: Int64
  @usableFromInline let givesEarly: Bool

  @usableFromInline init(
    _ stream: EventTimeStream<(Key, Value)>, _ window: EventTimeWindow, lateness: Duration, givesEarly: Bool
  ) {
    self.stream = stream
    self.window = window
    self.lateness = max(0, lateness.inMilliseconds)
    self.givesEarly = givesEarly
    if let problem = window.problem { stream.timed.context.note(.invalidDefinition("eventTimeWindow: \(problem)")) }
  }

  /// One result a key and window: its values combined by `combine`, which must be associative.
  @inlinable public func reduceByKey(
    partitions: Int? = nil, schema: StateSchema<Value?> = StateSchema(),
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> EventTimeWindowDStream<Key, Value, Value> where Value: StreamCodable {
    windowed(
      partitions, schema: schema, zero: nil,
      add: { partial, value in try partial.map { try combine($0, value) } ?? value },
      merge: { a, b in
        guard let a, let b else { return a ?? b }
        return try combine(a, b)
      }, result: { $0 }, label: "reduceByKey in windows")
  }

  /// One result a key and window: `zero` with the key's values added one by one. `merge` brings sessions together that an
  /// element in between makes one.
  @inlinable public func aggregateByKey<Partial: StreamCodable>(
    _ zero: Partial, partitions: Int? = nil, schema: StateSchema<Partial> = StateSchema(),
    add: @escaping @Sendable (Partial, Value) throws -> Partial,
    merge: @escaping @Sendable (Partial, Partial) throws -> Partial
  ) -> EventTimeWindowDStream<Key, Value, Partial> {
    windowed(
      partitions, schema: schema, zero: zero, add: add, merge: merge, result: { $0 }, label: "aggregateByKey in windows"
    )
  }

  /// How many pairs each key has in each window.
  @inlinable public func count(partitions: Int? = nil) -> EventTimeWindowDStream<Key, Value, Int> {
    windowed(
      partitions, schema: StateSchema(), zero: 0, add: { count, _ in count + 1 }, merge: { $0 + $1 }, result: { $0 },
      label: "count in windows")
  }

  @inlinable func windowed<Partial: StreamCodable, Output: Sendable>(
    _ partitions: Int?, schema: StateSchema<Partial>, zero: Partial,
    add: @escaping @Sendable (Partial, Value) throws -> Partial,
    merge: @escaping @Sendable (Partial, Partial) throws -> Partial,
    result: @escaping @Sendable (Partial) -> Output?, label: String
  ) -> EventTimeWindowDStream<Key, Value, Output> {
    typealias Given = WindowResults<Key, Value, Output>
    let timed = stream.timed
    let context = timed.context
    let keeper = stream.keeper
    let (window, lateness, givesEarly) = (window, lateness, givesEarly)
    let stateful = KeyedOperator<Key, OpenWindows<Partial>, Given>(
      context, partitions: partitions, schema: schema.ofOpenWindows())
    stateful.countLate()
    let byKey = timed.map { timed in (timed.1.0, (timed.0, detached(timed.1.1))) }
    let output = DStream<(Windowed<Key>, Output)>(context, label: label, parents: [byKey]) { frame in
      let partitioner = stateful.partitioner
      let input = (byKey.dataset(frame) ?? context.sluice.empty()).partitionBy(partitioner)
      let watermark = keeper.milliseconds(frame)
      let run = stateful.begin(frame) { partition, task, view in
        view.timerTime = watermark
        var given = Given()
        try input.compute(partition, task) { chunk in
          for index in 0..<chunk.count {
            let (key, (time, value)) = chunk[index]
            let number = view.touch(key)
            let isTaken = try view.change(number) { open in
              try open.take(
                time.milliseconds, window, closedBefore: watermark.map { $0 &- lateness }, zero,
                { try add($0, value) }, merge)
            }
            if !isTaken { given.late.append((time, key, value)) }
          }
        }
        for number in 0..<view.touchedCount {
          view.settle(number, watermark, lateness, givesEarly) { start, end, partial in
            if let row = result(partial) { given.add(view.key(number), start, end, row) }
          }
        }
        for number in view.due() {
          view.settle(number, watermark, lateness, givesEarly) { start, end, partial in
            if let row = result(partial) { given.add(view.key(number), start, end, row) }
          }
        }
        return given
      }
      return RDD<(Windowed<Key>, Output)>(
        context.sluice, label: label, partitionCount: run.partitionCount, dependencies: [.narrow(input)]
      ) { partition, task, emit in
        try run.result(partition, task).output.rows.withUnsafeBufferPointer { if $0.count > 0 { try emit($0) } }
      }
    }
    stateful.bind(to: output)
    let late = DStream<(Timestamp, (Key, Value))>(context, label: "lateRecords", parents: [output]) { frame in
      guard let dataset = output.dataset(frame), let run = stateful.run(frame) else { return nil }
      return RDD<(Timestamp, (Key, Value))>(
        dataset.context, label: "lateRecords", partitionCount: run.partitionCount, dependencies: [.narrow(dataset)]
      ) { partition, task, emit in
        let late = try run.result(partition, task).output.late.map { ($0.0, ($0.1, $0.2)) }
        try late.withUnsafeBufferPointer { if $0.count > 0 { try emit($0) } }
      }
    }
    return EventTimeWindowDStream(results: output, lateRecords: late)
  }
}

/// What a windowed operator gives: the results, and the records that came too late for them.
///
/// A result is given in the first batch whose watermark has passed the window's end; where records come after that and
/// within the allowed lateness, it is given again, as it is then. An element that brings two sessions together gives
/// their union a result of its own.
public struct EventTimeWindowDStream<Key: Hashable & Sendable, Value: Sendable, Output: Sendable>: Sendable {
  /// One pair a key and window.
  public let results: DStream<(Windowed<Key>, Output)>
  /// What came when its windows were closed, with its time. Counted as `late` beside the operator's name.
  public let lateRecords: DStream<(Timestamp, (Key, Value))>

  @inlinable init(
    results: DStream<(Windowed<Key>, Output)>, lateRecords: DStream<(Timestamp, (Key, Value))>
  ) {
    self.results = results
    self.lateRecords = lateRecords
  }

  /// Gives the operator a name, under which its open windows are found again after the code has changed.
  /// - Parameter aliases: names that it had before.
  @discardableResult public func named(_ name: String, aliases: [String] = []) -> Self {
    results.named(name, aliases: aliases)
    return self
  }
}

extension EventTimeStream {
  /// Brings the pairs of each key together by windows of event time.
  /// - Parameters:
  ///   - allowedLateness: for how long after its end has passed a window still takes records; its state is kept so long.
  ///   - earlyUpdates: give, in each batch, what windows hold that have changed, before their end.
  @inlinable public func eventTimeWindow<Key: Hashable & Sendable & StreamCodable, Value: Sendable>(
    _ window: EventTimeWindow, allowedLateness: Duration = .zero, earlyUpdates: Bool = false
  ) -> EventTimeWindowedPairs<Key, Value> where Element == (Key, Value) {
    EventTimeWindowedPairs(self, window, lateness: allowedLateness, givesEarly: earlyUpdates)
  }
}
