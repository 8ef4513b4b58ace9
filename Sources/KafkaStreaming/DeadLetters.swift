import Datasets
import Groundwork
import KafkaProtocol
import Streaming

/// What becomes of a record that cannot be converted.
public enum RecordFailurePolicy: Sendable, Equatable {
  /// The task fails, and with it, after its retries, the batch: the error names the record.
  case fail
  /// It is left out, and counted under `recordsSkipped`.
  case skip
  /// It is left out, counted under `recordsDead`, and goes to this topic as it was, with headers that say where it came
  /// from and why (`DeadLetter`): in the commit of its batch. The topic is made where it does not exist.
  case deadLetter(topic: String)
}

/// A record that could not be converted, as it goes to a dead letter topic: key, value, headers and timestamp are its own,
/// and behind them stand headers with its provenance.
public struct DeadLetter: Sendable {
  /// Names of the headers, as text; offset and partition are decimal.
  public enum Header {
    /// The topic it came from.
    public static let topic: Bytes = "sluice.topic"
    /// Its partition there.
    public static let partition: Bytes = "sluice.partition"
    /// Its offset there.
    public static let offset: Bytes = "sluice.offset"
    /// The operator that could not convert it.
    public static let operatorName: Bytes = "sluice.operator"
    /// The error's text, to 1,000 bytes.
    public static let error: Bytes = "sluice.error"
  }
  /// The most bytes of the error's text.
  static let errorBytesMax = 1000

  /// As it was read.
  public let record: ConsumerRecord
  /// The operator's name.
  public let operatorName: String
  /// The error's text.
  public let error: String

  /// - Parameters:
  ///   - record: as it was read.
  ///   - operatorName: who could not convert it.
  ///   - error: the error's text.
  public init(_ record: ConsumerRecord, operatorName: String, error: String) {
    self.record = record
    self.operatorName = operatorName
    self.error = error
  }

  /// What goes to the topic. Headers of an earlier dead letter stay, in front: the last ones are the newest.
  public var producerRecord: ProducerRecord {
    ProducerRecord(
      key: record.key, value: record.isTombstone ? nil : record.value,
      headers: record.headers + [
        RecordHeader(Header.topic, Bytes(record.topic)),
        RecordHeader(Header.partition, Bytes("\(record.partition)")),
        RecordHeader(Header.offset, Bytes("\(record.offset)")),
        RecordHeader(Header.operatorName, Bytes(operatorName)),
        RecordHeader(Header.error, Bytes(DeadLetter.cut(error))),
      ], timestamp: record.timestamp == .none ? nil : record.timestamp)
  }

  /// Cut between characters.
  static func cut(_ text: String) -> String {
    guard text.utf8.count > errorBytesMax else { return text }
    var end = text.utf8.index(text.startIndex, offsetBy: errorBytesMax)
    while end.samePosition(in: text) == nil { end = text.utf8.index(before: end) }
    return String(text[..<end])
  }
}

/// A record could not be converted.
public struct RecordFailed: DiagnosableError {
  /// Which one.
  public var partition: TopicPartition
  /// Its place there.
  public var offset: Offset
  /// The operator that could not.
  public var operatorName: String
  /// Why.
  public var reason: String
  public var fault: Fault { .user }
  public var isRetriable: Bool { false }
  public var leavesUsable: Bool { true }
  public var description: String {
    "\(operatorName): the record at offset \(offset) of \(partition) cannot be converted: \(reason); repair the conversion, or "
      + "let it skip such records or send them to a topic with mapRecords(onFailure:)"
  }
}

/// What a conversion made of a record.
private enum Conversion<Output: Sendable>: Sendable {
  case value(Output)
  case dead(DeadLetter)
}

extension DStream where Element == ConsumerRecord {
  /// Each record converted; what becomes of those whose conversion throws is said by a policy.
  ///
  /// With dead letters the converted batch is kept in memory while it is processed, so that each record is converted once
  /// and is in one of the two outputs.
  /// - Parameters:
  ///   - onFailure: for records whose conversion throws.
  ///   - name: of the operator, for the errors and dead letters.
  ///   - transform: converts a record.
  public func mapRecords<Output: Sendable>(
    onFailure: RecordFailurePolicy = .fail, name: String = "mapRecords",
    _ transform: @escaping @Sendable (ConsumerRecord) throws -> Output
  ) -> DStream<Output> {
    switch onFailure {
    case .fail:
      return apply(
        ChunkOperator { records, output, _ in
          for record in records {
            do { output.append(try transform(record)) } catch { throw failed(record, name, error) }
          }
        }, label: name)
    case .skip:
      return apply(
        ChunkOperator { records, output, task in
          for record in records {
            do { output.append(try transform(record)) } catch { task.count("recordsSkipped") }
          }
        }, label: name)
    case .deadLetter(let topic):
      let conversions = apply(
        ChunkOperator<ConsumerRecord, Conversion<Output>> { records, output, _ in
          for record in records {
            do {
              output.append(.value(try transform(record)))
            } catch {
              output.append(.dead(DeadLetter(record, operatorName: name, error: "\(error)")))
            }
          }
        }, label: name
      ).cache()
      conversions.apply(
        ChunkOperator<Conversion<Output>, ProducerRecord> { conversions, output, task in
          for conversion in conversions {
            guard case .dead(let letter) = conversion else { continue }
            output.append(letter.producerRecord)
            task.count("recordsDead")
          }
        }, label: "deadLetters"
      ).saveToTopic(topic) { $0 }
      return conversions.apply(
        ChunkOperator { conversions, output, _ in
          for conversion in conversions { if case .value(let value) = conversion { output.append(value) } }
        }, label: "converted")
    }
  }
}

private func failed(_ record: ConsumerRecord, _ name: String, _ error: any Error) -> RecordFailed {
  RecordFailed(
    partition: TopicPartition(record.topic, record.partition), offset: record.offset, operatorName: name,
    reason: "\(error)")
}
