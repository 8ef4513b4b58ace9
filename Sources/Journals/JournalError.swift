import Groundwork
import SystemInterfaces

/// What went wrong with a journal.
public struct JournalError: DiagnosableError {
  /// What went wrong, and the place in the file where there is one. Positions are bytes from the start of the file to
  /// the start of the entry.
  public enum Code: Sendable, Equatable {
    /// The file system refused.
    case file(FileError.Code, operation: String)
    /// An entry of that many bytes is larger than a journal takes.
    case entryTooLarge(Int)
    /// The entry passed its checksum, but its content is not what its version says.
    case malformedEntry(position: Int64)
    /// The entry was written by a later release.
    case unsupportedVersion(UInt16, position: Int64)
    /// An earlier write or sync failed and left the end of the file unknown.
    case broken
  }
  /// What went wrong.
  public var code: Code
  /// The journal's file.
  public var path: String

  /// For the journal's owner, too: `malformedEntry` and `unsupportedVersion` are found by whoever decodes a payload.
  /// - Parameter path: the journal's file.
  public init(_ code: Code, path: String) {
    self.code = code
    self.path = path
  }

  init(_ error: FileError) {
    self.init(.file(error.code, operation: error.operation), path: error.path)
  }

  public var fault: Fault {
    switch code {
    case .file(let code, let operation): FileError(code, path: path, operation: operation).fault
    case .entryTooLarge: .ours
    case .malformedEntry, .broken: .machine
    case .unsupportedVersion: .user
    }
  }

  public var isRetriable: Bool {
    if case .file(let code, let operation) = code {
      FileError(code, path: path, operation: operation).isRetriable
    } else {
      false
    }
  }

  public var leavesUsable: Bool {
    switch code {
    case .entryTooLarge: true
    case .file(let code, let operation):
      operation != "sync" && FileError(code, path: path, operation: operation).leavesUsable
    case .malformedEntry, .unsupportedVersion, .broken: false
    }
  }

  public var description: String {
    switch code {
    case .file(let code, let operation):
      FileError(code, path: path, operation: operation).description
    case .entryTooLarge(let count):
      "an entry of \(count) bytes does not fit the journal \(path): the limit is \(Journal.entrySizeMax)"
    case .malformedEntry(let position):
      "the entry at byte \(position) of \(path) is intact but not understood: restore the file from a backup"
    case .unsupportedVersion(let version, let position):
      "the entry at byte \(position) of \(path) has version \(version): it was written by a later release, run that one"
    case .broken:
      "an earlier write to \(path) failed and its end is unknown: restart to recover it"
    }
  }
}
