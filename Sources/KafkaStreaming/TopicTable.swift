import Datasets
import Groundwork
import Streaming

/// A topic read as a table: one value a key, the newest; a null value removes the key. Made for compacted topics, which
/// keep at least the newest record of every key.
///
/// The job begins when the table holds what the topic held at the start; each batch then joins with the table as it is
/// when the batch is planned. Every instance holds the whole table in memory. What a batch saw is not recorded: a batch
/// that is run again after a restart joins with the table as it is then.
///
/// Sendable: its properties are constant; the source is touched on the driver's loop.
public final class TopicTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  /// All rows of the table, batch by batch.
  public let stream: DStream<(Key, Value)>
  private let source: TableSource<Key, Value>

  init(_ source: TableSource<Key, Value>, _ stream: DStream<(Key, Value)>) {
    self.source = source
    self.stream = stream
  }

  /// The rows as a batch sees them. On the driver's loop.
  public func rows(_ frame: BatchFrame) -> TableRows<Key, Value> { source.rows(of: frame.number) }
}

extension StreamingContext {
  /// A topic as a table, by its keys; records without one are passed over.
  ///
  /// A record that cannot be converted stops the job; let `value` give nil to remove the key instead.
  /// - Parameters:
  ///   - topic: must exist.
  ///   - key: makes the table's key of a record's.
  ///   - value: makes the row of a record that is no tombstone; what it gives should not keep slices of the record:
  ///     `String(record.value)` does not. nil removes the key.
  public func topicTable<Key: Hashable & Sendable, Value: Sendable>(
    _ topic: String, key: @escaping @Sendable (Bytes) throws -> Key,
    value: @escaping @Sendable (ConsumerRecord) throws -> Value?
  ) -> TopicTable<Key, Value> {
    let source = TableSource(topic, key: key, value: value)
    do {
      source.connection = try kafka()
      source.settings = try SourceSettings(settings: environment.settings)
    } catch {
      note((error as? StreamingError) ?? .invalidDefinition("\(error)"))
    }
    let stream = inputStream(source, label: "table") { [sluice] batch, _ in
      sluice.parallelize(source.rows(of: batch.number).all)
    }
    return TopicTable(source, stream)
  }

  /// A topic as a table of texts.
  public func topicTable(_ topic: String) -> TopicTable<String, String> {
    topicTable(topic, key: { String($0) }, value: { String($0.value) })
  }
}

extension DStream {
  /// Each pair whose key the table has, with the row: looked up where the pair is, nothing is shuffled.
  @inlinable public func join<Key: Hashable & Sendable, Value, Row: Sendable>(
    _ table: TopicTable<Key, Row>
  ) -> DStream<(Key, (Value, Row))> where Element == (Key, Value) {
    DStream<(Key, (Value, Row))>(context, label: "join", parents: [self]) { [self] frame in
      let rows = table.rows(frame)
      return dataset(frame)?.apply(
        ChunkOperator { pairs, output, _ in
          for index in 0..<pairs.count {
            let (key, value) = pairs[index]
            if let row = rows[key] { output.append((key, (value, row))) }
          }
        }, label: "join", keepsPartitioning: true)
    }
  }

  /// Each pair, with the row where the table has one of its key.
  @inlinable public func leftOuterJoin<Key: Hashable & Sendable, Value, Row: Sendable>(
    _ table: TopicTable<Key, Row>
  ) -> DStream<(Key, (Value, Row?))> where Element == (Key, Value) {
    DStream<(Key, (Value, Row?))>(context, label: "leftOuterJoin", parents: [self]) { [self] frame in
      let rows = table.rows(frame)
      return dataset(frame)?.apply(
        ChunkOperator { pairs, output, _ in
          for index in 0..<pairs.count {
            let (key, value) = pairs[index]
            output.append((key, (value, rows[key])))
          }
        }, label: "leftOuterJoin", keepsPartitioning: true)
    }
  }
}
