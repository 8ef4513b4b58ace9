import Datasets
import Groundwork

extension DStream {
  /// As for any pairs, one pair a key and window; where the job has a checkpoint folder and keys and values have an
  /// encoding, as here, the panes are kept as state, and a restart goes on with them instead of with an empty window. The
  /// operator is found again by its name: give it one with `named`.
  /// - Parameters:
  ///   - length: a multiple of the batch interval.
  ///   - slide: a multiple of the batch interval; the interval itself where nil.
  ///   - partitions: partitions of the result; where none is given it stays what it was at the first start.
  ///   - combine: associative; called with older values first.
  @inlinable public func reduceByKeyAndWindow<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>(
    window length: Duration, slide: Duration? = nil, partitions: Int? = nil,
    _ combine: @escaping @Sendable (Value, Value) throws -> Value
  ) -> DStream<(Key, Value)> where Element == (Key, Value) {
    guard keepsPanes else {
      return reduceByKeyAndWindow(
        window: length, slide: slide, partitioner: .hash(partitions ?? context.sluice.defaultParallelism), combine)
    }
    let spec = WindowSpec(self, operator: "reduceByKeyAndWindow", length: length, slide: slide)
    return persistedWindows(
      length: length, slide: spec.slide, partitions: partitions, label: "reduceByKeyAndWindow", combine)
  }

  /// Whether reduced windows keep their panes over a restart: windows over windows do not.
  @usableFromInline package var keepsPanes: Bool {
    context.environment.checkpointDirectory != nil && slideDuration == context.batchInterval
  }
}
