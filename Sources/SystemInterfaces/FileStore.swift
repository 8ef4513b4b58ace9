import Groundwork

/// The third seam: files. Paths are plain text with `/`; calls block, briefly, and run where they are made.
///
/// Durability is POSIX's: written bytes survive the death of the process; only `sync` (and `syncDirectory`, for names)
/// carries them past a power loss. The simulated store tears and loses what was not synced.
public protocol FileStore: Sendable {
  /// Opens a file; throws `.notFound` where there is none and the mode does not make one.
  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File
  /// Makes the directory and those above it, durably; fine if it exists.
  func createDirectories(_ path: String) throws(FileError)
  /// Names in a directory, sorted.
  func list(_ path: String) throws(FileError) -> [String]
  /// nil where there is nothing of that name.
  func attributes(_ path: String) throws(FileError) -> FileAttributes?
  /// Removes one file; throws `.notFound` where there is none. Not durable before `syncDirectory` of its folder.
  func removeFile(_ path: String) throws(FileError)
  /// Removes a file or a directory with all in it; fine if it does not exist.
  func removeTree(_ path: String) throws(FileError)
  /// Replaces `to` atomically.
  func rename(_ from: String, to: String) throws(FileError)
  /// Makes the names in a directory durable.
  func syncDirectory(_ path: String) throws(FileError)
  /// Carries several files past a power loss, as `sync` does each of them; at the same time where that can be: the disk
  /// then hardly takes longer for all of them than for one.
  /// - Returns: what went wrong with each file, nil where nothing did.
  func sync(_ files: [any File]) -> [FileError?]
  /// Takes the exclusive lock of the file at `path` (made if need be) and writes `holder` into it; it ends with the
  /// process. Throws `.locked` with the holder's text where somebody else has it.
  func lock(_ path: String, holder: String) throws(FileError) -> any FileLock
  /// The text of whoever has the lock of the file at `path` now; nil where nobody has it, and where there is no such
  /// file. Takes no lock, so it never stands in the way of somebody who does.
  func lockHolder(_ path: String) throws(FileError) -> String?
}

/// What an open file is for, and what happens where there is none yet.
public enum OpenMode: Sendable {
  /// An existing file, for reading.
  case read
  /// For reading and writing; made if need be.
  case readWrite
  /// For reading and writing; an existing file is emptied.
  case create
}

/// What a file system says of a name.
public struct FileAttributes: Sendable {
  /// Bytes of content; of a directory whatever the file system says.
  public var size: Int64
  /// Whether it is a directory, links followed.
  public var isDirectory: Bool
  /// When the content last changed, by the file system's clock.
  public var modified: Timestamp
  /// For implementations of `FileStore`.
  public init(size: Int64, isDirectory: Bool, modified: Timestamp) {
    self.size = size
    self.isDirectory = isDirectory
    self.modified = modified
  }
}

/// An open file. It closes when it is released.
public protocol File: AnyObject, Sendable {
  /// The path it was opened by, for messages.
  var path: String { get }
  /// Bytes in the file now, whoever wrote them.
  func size() throws(FileError) -> Int64
  /// Reads up to `into.count` bytes from `position` on; 0 at the end of the file.
  func read(at position: Int64, into: UnsafeMutableRawBufferPointer) throws(FileError) -> Int
  /// Writes all bytes at `position`, in order. On an error a part of them may have been written.
  func write(at position: Int64, _ parts: [Bytes]) throws(FileError)
  /// Cuts the file to `size` bytes, or extends it by zeros.
  func truncate(to size: Int64) throws(FileError)
  /// Carries the content and the size past a power loss; blocks until the device has them.
  func sync() throws(FileError)
}

/// An exclusive lock that is held: until `unlock`, the release of this object, or the end of the process.
public protocol FileLock: AnyObject, Sendable {
  /// Replaces the text that others see of the holder.
  func update(holder: String) throws(FileError)
  /// Gives the lock up; the file stays. A second call does nothing.
  func unlock()
}

extension File {
  /// `count` bytes from `position` on, fewer only at the end of the file.
  public func read(at position: Int64, count: Int) throws(FileError) -> Bytes {
    let arena = Arena(capacity: count)
    var filled = 0
    while filled < count {
      let got = try read(
        at: position + Int64(filled),
        into: UnsafeMutableRawBufferPointer(start: arena.base + filled, count: count - filled))
      if got == 0 { break }
      filled += got
    }
    return Bytes(arena, offset: 0, count: filled)
  }

  /// As `write(at:_:)` of several parts, with one.
  public func write(at position: Int64, _ bytes: Bytes) throws(FileError) { try write(at: position, [bytes]) }
}

extension FileStore {
  /// The whole content of a file.
  public func contents(of path: String) throws(FileError) -> Bytes {
    let file = try open(path, .read)
    return try file.read(at: 0, count: Int(try file.size()))
  }

  /// One after the other.
  public func sync(_ files: [any File]) -> [FileError?] {
    files.map { file in
      do throws(FileError) {
        try file.sync()
        return nil
      } catch {
        return error
      }
    }
  }

  /// Writes a whole file under a temporary name beside it, syncs it, and renames it into place.
  public func replace(_ path: String, with content: Bytes) throws(FileError) {
    let temporary = path + ".new"
    let file = try open(temporary, .create)
    try file.write(at: 0, content)
    try file.sync()
    try rename(temporary, to: path)
  }
}

/// What went wrong with a file.
public struct FileError: DiagnosableError {
  /// The kinds of failure that callers tell apart.
  public enum Code: Sendable, Equatable {
    /// What the path leads to, or does not, and who may.
    case notFound, permissionDenied, alreadyExists, notADirectory, isADirectory, notEmpty
    /// What the file system does not allow: no space, no writing, no more descriptors, no such long name.
    case diskFull, readOnly, tooManyOpenFiles, nameTooLong
    /// The lock is held; the text names the holder.
    case locked(by: String)
    /// The device reported an error (EIO): what was written since the last sync may be lost.
    case inputOutput
    /// Any other, by its number in errno.
    case other(Int32)
  }
  /// What kind of failure it is.
  public var code: Code
  /// The file or folder it is about.
  public var path: String
  /// What was being done: `open`, `write`, `rename` …
  public var operation: String

  /// Says which file it is about and what was being done with it.
  public init(_ code: Code, path: String, operation: String) {
    self.code = code
    self.path = path
    self.operation = operation
  }

  /// The user's where another path or other permissions would do; the machine's for space, descriptors and devices.
  public var fault: Fault {
    switch code {
    case .notFound, .permissionDenied, .alreadyExists, .notADirectory, .isADirectory, .notEmpty, .locked, .nameTooLong,
      .readOnly:
      .user
    case .diskFull, .tooManyOpenFiles, .inputOutput, .other: .machine
    }
  }
  /// True where the cause may go away by itself: a full disk, too many open files, a lock that is held.
  public var isRetriable: Bool {
    switch code {
    case .diskFull, .tooManyOpenFiles, .locked: true
    default: false
    }
  }
  /// False after an input/output error: the state of the file is then unknown.
  public var leavesUsable: Bool { code != .inputOutput }

  /// `cannot OPERATION PATH: ` and the cause, with what to do where something can be done.
  public var description: String {
    let what =
      switch code {
      case .notFound: "there is no such file or folder"
      case .permissionDenied: "permission denied: check the owner and mode of the folder, or choose another"
      case .alreadyExists: "it exists already"
      case .notADirectory: "a part of the path is not a folder"
      case .isADirectory: "it is a folder"
      case .notEmpty: "the folder is not empty"
      case .diskFull: "the disk is full: free some space or choose another folder"
      case .readOnly: "the file system is read-only: choose another folder"
      case .tooManyOpenFiles: "too many open files: raise the limit (ulimit -n)"
      case .nameTooLong: "the name is too long"
      case .locked(let holder): "it is in use by \(holder)"
      case .inputOutput: "the device reported an error"
      case .other(let number): "error \(number)"
      }
    return "cannot \(operation) \(path): \(what)"
  }
}
