import Datasets
import Groundwork

extension DStream {
  /// One pair a key and batch: its values combined by `combine`, which must be associative.
  @inlinable public func reduceByKey<Key: Hashable & Sendable, Value>(
    partitions: Int? = nil, _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    DStream<(Key, Value)>(context, label: "reduceByKey", parents: [self]) { [self] frame in
      dataset(frame)?.reduceByKey(partitions: partitions, combine)
    }
  }

  /// All values of each key in a batch.
  @inlinable public func groupByKey<Key: Hashable & Sendable, Value>(
    partitions: Int? = nil
  ) -> DStream<(Key, [Value])> where Element == (Key, Value) {
    DStream<(Key, [Value])>(context, label: "groupByKey", parents: [self]) { [self] frame in
      dataset(frame)?.groupByKey(partitions: partitions)
    }
  }

  /// Each value transformed; keys stay.
  @inlinable public func mapValues<Key, Value, Output>(
    _ transform: @escaping @Sendable (Value) throws -> Output
  ) -> DStream<(Key, Output)> where Element == (Key, Value) {
    apply(.map { ($0.0, try transform($0.1)) }, label: "mapValues")
  }

  /// Each value replaced by the elements of what it gives, each with the key.
  @inlinable public func flatMapValues<Key, Value, S: Sequence & SendableMetatype>(
    _ transform: @escaping @Sendable (Value) throws -> S
  ) -> DStream<(Key, S.Element)> where Element == (Key, Value) {
    DStream<(Key, S.Element)>(context, label: "flatMapValues", parents: [self]) { [self] frame in
      dataset(frame)?.flatMapValues(transform)
    }
  }

  /// The pairs whose key stands in a table in memory, with the table's value.
  @inlinable public func join<Key: Hashable & Sendable, Value, Other: Sendable>(
    _ table: [Key: Other]
  ) -> DStream<(Key, (Value, Other))> where Element == (Key, Value) {
    DStream<(Key, (Value, Other))>(context, label: "join", parents: [self]) { [self] frame in
      dataset(frame)?.join(table)
    }
  }

  /// All pairs, with the value of a table in memory where the key stands there.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Other: Sendable>(
    _ table: [Key: Other]
  ) -> DStream<(Key, (Value, Other?))> where Element == (Key, Value) {
    DStream<(Key, (Value, Other?))>(context, label: "leftOuterJoin", parents: [self]) { [self] frame in
      dataset(frame)?.leftOuterJoin(table)
    }
  }
}
