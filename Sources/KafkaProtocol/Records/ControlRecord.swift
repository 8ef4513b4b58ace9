import Codecs
import Groundwork
import WireFormat

/// What a broker writes into a partition to say how a transaction ended (KIP-98; `ControlRecordType` and
/// `EndTransactionMarker` of Kafka).
///
/// The key holds a version and the type, the value of an end marker a version and the coordinator's epoch, all
/// big-endian.
public struct ControlRecord: Hashable, Sendable {
  /// What the marker says; on the wire a 16-bit number in the key.
  public enum Kind: Hashable, Sendable {
    /// The producer's transaction ended without effect: its records in this partition, up to the marker, count as never
    /// written. On the wire 0.
    case abort
    /// The producer's transaction took effect. On the wire 1.
    case commit
    /// A type of Kafka's own logs, such as a change of leader; consumers pass over it.
    case other(Int16)

    var rawValue: Int16 {
      switch self {
      case .abort: 0
      case .commit: 1
      case .other(let value): value
      }
    }
  }
  /// What the marker says.
  public var kind: Kind
  /// The epoch of the transaction coordinator; nil where the marker carries none.
  public var coordinatorEpoch: Int32?

  /// - Parameter coordinatorEpoch: the epoch of the transaction coordinator; nil leaves it out.
  public init(_ kind: Kind, coordinatorEpoch: Int32?) {
    self.kind = kind
    self.coordinatorEpoch = coordinatorEpoch
  }

  /// Reads a control record's key and value; later versions may append fields, which are passed over.
  ///
  /// - Throws: `truncated` or `invalid` where the bytes hold none.
  public init(key: Bytes?, value: Bytes?) throws(DecodeError) {
    func number<I: FixedWidthInteger & BitwiseCopyable>(_ bytes: Bytes, _ place: Int) throws(DecodeError) -> I {
      guard bytes.count >= place + MemoryLayout<I>.size else {
        throw DecodeError(
          .truncated(wanted: MemoryLayout<I>.size, remaining: max(bytes.count - place, 0)), at: place)
      }
      return bytes.withUnsafeBytes { I(bigEndian: $0.loadUnaligned(fromByteOffset: place, as: I.self)) }
    }
    guard let key else { throw DecodeError(.invalid("a control record without a key"), at: 0) }
    let version: Int16 = try number(key, 0)
    guard version >= 0 else { throw DecodeError(.invalid("a control record of a negative version"), at: 0) }
    let type: Int16 = try number(key, 2)
    switch type {
    case 0: kind = .abort
    case 1: kind = .commit
    default: kind = .other(type)
    }
    if let value, kind == .abort || kind == .commit {
      let version: Int16 = try number(value, 0)
      guard version >= 0 else { throw DecodeError(.invalid("an end marker of a negative version"), at: 0) }
      coordinatorEpoch = try number(value, 2)
    } else {
      coordinatorEpoch = nil
    }
  }

  /// The encoded key, of version 0.
  public var key: Bytes {
    var writer = ByteWriter(capacity: 16)
    writer.append(bigEndian: 0 as Int16)
    writer.append(bigEndian: kind.rawValue)
    return writer.finish()
  }

  /// The encoded value, of version 0; nil without a coordinator epoch.
  public var value: Bytes? {
    guard let coordinatorEpoch else { return nil }
    var writer = ByteWriter(capacity: 16)
    writer.append(bigEndian: 0 as Int16)
    writer.append(bigEndian: coordinatorEpoch)
    return writer.finish()
  }

  /// A control batch of one marker, as a broker appends it; offset and leader epoch are yet to be assigned.
  public func batch(producerID: Int64, producerEpoch: Int16, timestamp: Timestamp) throws(RecordBatchError) -> Bytes {
    var builder = RecordBatchBuilder(capacity: 128)
    try builder.append(key: key, value: value, timestamp: timestamp)
    var settings = RecordBatchSettings()
    settings.producerID = producerID
    settings.producerEpoch = producerEpoch
    settings.isTransactional = true
    settings.isControl = true
    return try builder.finish(settings, using: CodecWorkspace())
  }
}

extension RecordBatch {
  /// The marker of a control batch.
  ///
  /// - Throws: `notControl` where the batch is none or holds no record; `malformed` where the marker cannot be read.
  public func controlRecord(
    using workspace: CodecWorkspace, checkingChecksum: Bool = true
  ) throws(RecordBatchError) -> ControlRecord {
    guard header.isControl else { throw RecordBatchError(.notControl, baseOffset: header.baseOffset) }
    let section = try records(using: workspace, checkingChecksum: checkingChecksum, limit: 1 << 20)
    var cursor = RecordCursor(section.content)
    defer { withExtendedLifetime(section) {} }
    guard header.recordCount > 0 else { throw RecordBatchError(.notControl, baseOffset: header.baseOffset) }
    guard let fields = cursor.next() else { throw section.failure(cursor) }
    do throws(DecodeError) {
      return try withUnsafePointer(to: fields) { pointer throws(DecodeError) in
        let view = RecordView(
          offset: header.baseOffset.rawValue, time: header.baseTimestamp.milliseconds, hasAppendTime: false,
          fields: pointer,
          owner: Unmanaged.passUnretained(section.arena))
        return try ControlRecord(key: view.key, value: view.value)
      }
    } catch {
      throw RecordBatchError(.malformed(error), baseOffset: header.baseOffset)
    }
  }
}
