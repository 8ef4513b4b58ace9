import Groundwork
import Journals
import SystemInterfaces

/// What went wrong with a stored log.
public struct LogError: DiagnosableError {
  /// What went wrong, with what a message needs to say it.
  public enum Code: Sendable, Equatable {
    /// The offset lies before the log's start or beyond its end.
    case offsetOutOfRange(requested: Offset, start: Offset, end: Offset)
    /// The bytes are no record batch, or the checksum does not fit them.
    case corruptBatch(String)
    /// A whole record batch that a producer must not send.
    case invalidRecord(String)
    /// Message format 0 or 1, which is read but not stored.
    case unsupportedFormat(magic: Int8)
    /// A record batch, compressed, of `size` bytes where `max.message.bytes` allows `limit`.
    case messageTooLarge(size: Int, limit: Int)
    /// An idempotent producer's batch does not follow on its last one: one was lost, or they came in another order.
    case outOfOrderSequence(producerID: Int64, expected: Int32, received: Int32)
    /// A later incarnation of the producer has taken over: this one must not go on.
    case staleProducerEpoch(producerID: Int64, current: Int16, received: Int16)
    /// A later coordinator has ended a transaction of the producer: this one must not.
    case staleCoordinatorEpoch(producerID: Int64, current: Int32, received: Int32)
    /// A batch that is not transactional, of a producer that has a transaction open.
    case outsideTransaction(producerID: Int64)
    /// A setting that does not exist, is not supported here, or has an impossible value.
    case invalidSetting(name: String, value: String?, reason: String)
    /// The file system refused.
    case file(FileError.Code, operation: String)
    /// A journal, such as the catalog's or that of committed offsets, could not be opened or written.
    case journal(JournalError.Code)
    /// An earlier write or sync failed in a way that leaves the log unknown; it answers again after a restart.
    case offline
  }
  /// What went wrong.
  public var code: Code
  /// The folder of the log, or the file, or empty where none is concerned.
  public var path: String

  /// - Parameter path: the folder of the log, or the file; empty where none is concerned.
  public init(_ code: Code, path: String = "") {
    self.code = code
    self.path = path
  }

  /// Keeps the file's path.
  public init(_ error: FileError) { self.init(.file(error.code, operation: error.operation), path: error.path) }

  public var fault: Fault {
    switch code {
    case .offsetOutOfRange, .corruptBatch, .invalidRecord, .unsupportedFormat, .messageTooLarge, .outOfOrderSequence,
      .staleProducerEpoch, .staleCoordinatorEpoch, .outsideTransaction:
      .peer
    case .invalidSetting: .user
    case .file(let code, let operation): FileError(code, path: path, operation: operation).fault
    case .journal(let code): JournalError(code, path: path).fault
    case .offline: .machine
    }
  }

  public var isRetriable: Bool {
    switch code {
    case .file(let code, let operation): FileError(code, path: path, operation: operation).isRetriable
    case .journal(let code): JournalError(code, path: path).isRetriable
    default: false
    }
  }

  public var leavesUsable: Bool {
    switch code {
    case .file(let code, let operation): FileError(code, path: path, operation: operation).leavesUsable
    case .journal(let code): JournalError(code, path: path).leavesUsable
    case .offline: false
    default: true
    }
  }

  public var description: String {
    switch code {
    case .offsetOutOfRange(let requested, let start, let end):
      "offset \(requested) is outside the log, which holds \(start) up to \(end): begin at one of these"
    case .corruptBatch(let reason): "the bytes are no intact record batch: \(reason)"
    case .invalidRecord(let reason): "the record batch is refused: \(reason)"
    case .unsupportedFormat(let magic):
      "message format \(magic) is not stored: use a client that writes record batches (format 2, Kafka 0.11 or later)"
    case .messageTooLarge(let size, let limit):
      "a record batch of \(size) bytes exceeds max.message.bytes = \(limit): send smaller batches or raise the setting"
    case .outOfOrderSequence(let producerID, let expected, let received):
      "producer \(producerID) sent sequence \(received) where \(expected) is next"
    case .staleProducerEpoch(let producerID, let current, let received):
      "producer \(producerID) sent epoch \(received), but a newer one, \(current), has taken over"
    case .staleCoordinatorEpoch(let producerID, let current, let received):
      "a transaction coordinator of epoch \(received) cannot end a transaction of producer \(producerID): epoch \(current) "
        + "has taken over"
    case .outsideTransaction(let producerID):
      "producer \(producerID) sent a batch outside of the transaction it has open: end that first"
    case .invalidSetting(let name, let value, let reason):
      if let value { "\(name)=\(value): \(reason)" } else { "\(name): \(reason)" }
    case .file(let code, let operation): FileError(code, path: path, operation: operation).description
    case .journal(let code): JournalError(code, path: path).description
    case .offline: "the log \(path) is offline after a failed write: look at the disk, then restart"
    }
  }
}

/// Runs file work, and turns its error into the target's own.
func storing<T>(_ work: () throws(FileError) -> T) throws(LogError) -> T {
  do throws(FileError) { return try work() } catch { throw LogError(error) }
}

/// Runs journal work, and turns its error into the target's own.
func journaling<T>(_ work: () throws(JournalError) -> T) throws(LogError) -> T {
  do throws(JournalError) { return try work() } catch { throw LogError(.journal(error.code), path: error.path) }
}
