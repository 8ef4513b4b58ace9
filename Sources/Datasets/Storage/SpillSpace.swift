import Groundwork

/// Disk for what does not fit into memory. Datasets know no files: the scheduler's side implements this over the file
/// seam, and the context's `BlockStore` carries it.
public protocol SpillSpace: AnyObject, Sendable {
  /// A new file for one task's data; it is deleted with its last reference.
  func makeFile() throws(StorageError) -> any SpillFile
  /// A file in a folder of the user's, made if need be; it appears under its name when it is sealed, durable, and stays.
  func makeDurableFile(_ name: String, in folder: String) throws(StorageError) -> any SpillFile
  /// A file that was written as a durable one.
  func durableFile(_ name: String, in folder: String) throws(StorageError) -> any SpillFile
  /// Writes a small file of its own, durably, as it stands: a checkpoint's `manifest`.
  func write(_ manifest: Bytes, in folder: String) throws(StorageError)
  /// The bytes of such a file.
  func contents(of name: String, in folder: String) throws(StorageError) -> Bytes
}

/// Frames of bytes in a file, compressed and checked.
///
/// Written by one task, then read by any number of them.
public protocol SpillFile: AnyObject, Sendable {
  /// Where the file is, for people.
  var path: String { get }
  /// Appends a frame; not after `seal`.
  /// - Parameter locals: of the executor that the caller runs on: they keep the compression's memory.
  func append(_ bytes: UnsafeRawBufferPointer, _ locals: ExecutorLocals) throws(StorageError) -> SpillFrame
  /// Ends the writing.
  func seal() throws(StorageError)
  /// Deletes a durable file after all; the others go by themselves.
  func discard()
  /// Opens the file for reading frames.
  func open() throws(StorageError) -> any SpillReader
}

/// An open spill file; it closes with its last reference. Used by one task.
public protocol SpillReader: AnyObject {
  /// The bytes of a frame.
  /// - Throws: `StorageError` with `.lost` where the file holds something else.
  func read(_ frame: SpillFrame, _ locals: ExecutorLocals) throws(StorageError) -> Bytes
}

/// Where a frame stands in its file, and what it must be.
public struct SpillFrame: Sendable, Equatable {
  /// The position of its first byte.
  public var position: Int64
  /// Bytes in the file, compressed.
  public var storedCount: Int
  /// Bytes before compression.
  public var count: Int
  /// Of the bytes in the file, by `Bytes.fastHash`.
  public var checksum: UInt64

  /// - Parameters:
  ///   - position: the position of its first byte.
  ///   - storedCount: bytes in the file, compressed.
  ///   - count: bytes before compression.
  ///   - checksum: of the bytes in the file, by `Bytes.fastHash`.
  public init(position: Int64, storedCount: Int, count: Int, checksum: UInt64) {
    self.position = position
    self.storedCount = storedCount
    self.count = count
    self.checksum = checksum
  }
}

/// What went wrong with data that was to be kept, on disk or in memory.
public struct StorageError: DiagnosableError, Equatable {
  /// The kinds of error there are.
  public enum Code: Sendable, Equatable {
    /// The disk refused; the text says what was done and why it failed.
    case disk(String, isRetriable: Bool)
    /// A file that was written is gone or holds other bytes; the text says which and what.
    case lost(String)
    /// Elements of this type cannot leave memory, and the operation needs it.
    case noCodec(type: String, operation: String)
    /// The context has no disk to keep anything on.
    case noDisk(operation: String)
    /// A broadcast value was used after `destroy`.
    case destroyed(name: String)
    /// A locally checkpointed partition is gone, and its lineage with it.
    case checkpointLost(dataset: String, partition: Int, String)
  }
  /// Which kind, with what the message needs.
  public var code: Code

  /// An error of this kind.
  public init(_ code: Code) { self.code = code }

  /// Whose fault it is.
  public var fault: Fault {
    switch code {
    case .disk, .lost, .checkpointLost: .machine
    case .noCodec, .noDisk, .destroyed: .user
    }
  }

  /// Whether the same call may succeed later.
  public var isRetriable: Bool {
    switch code {
    case .disk(_, let isRetriable): isRetriable
    case .lost: true
    default: false
    }
  }

  /// Always: datasets are never changed by a failure.
  public var leavesUsable: Bool { true }

  /// What happened and what to do, for people.
  public var description: String {
    switch code {
    case .disk(let what, _): return "data could not be moved out of memory: \(what)"
    case .lost(let what): return "data that was moved to disk is lost: \(what)"
    case .noCodec(let type, let operation):
      return "\(operation) needs elements that can be written to disk, and \(type) cannot: "
        + "conform its parts to StreamCodable (two methods; tuples, arrays and optionals of such types are fine)"
    case .noDisk(let operation):
      return "\(operation) needs a disk, and this context was made without one: give its BlockStore a SpillSpace"
    case .destroyed(let name):
      return "\(name) was used after destroy(): keep it until the last job that reads it has ended"
    case .checkpointLost(let dataset, let partition, let what):
      return "partition \(partition) of \(dataset) is lost and cannot be made again, because localCheckpoint() dropped "
        + "its lineage (\(what)): use checkpoint(in:) where data must survive"
    }
  }
}
