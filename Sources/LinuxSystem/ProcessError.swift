import Glibc
import Groundwork

/// Why a program could not be run, or a stream of this process could not be used.
public struct ProcessError: DiagnosableError {
  /// Why, by the system's error number.
  public enum Code: Sendable, Equatable {
    /// No such program or folder (ENOENT, ENOTDIR); not allowed (EACCES, EPERM); a file that is no executable
    /// (ENOEXEC); no process or memory to be had (EAGAIN, ENOMEM).
    case notFound, permissionDenied, notAProgram, tooManyProcesses
    /// Any other, by its number in errno.
    case other(Int32)
  }
  /// Why.
  public var code: Code
  /// The program, or the name of the stream.
  public var subject: String

  init(_ error: Errno, _ subject: String) {
    self.subject = subject
    code =
      switch error.rawValue {
      case ENOENT, ENOTDIR: .notFound
      case EACCES, EPERM: .permissionDenied
      case ENOEXEC: .notAProgram
      case EAGAIN, ENOMEM: .tooManyProcesses
      default: .other(error.rawValue)
      }
  }

  public var fault: Fault {
    switch code {
    case .notFound, .permissionDenied, .notAProgram: .user
    case .tooManyProcesses, .other: .machine
    }
  }
  public var isRetriable: Bool { code == .tooManyProcesses }
  public var leavesUsable: Bool { false }
  public var description: String {
    switch code {
    case .notFound: "cannot run \(subject): there is no such program, or its working folder is missing"
    case .permissionDenied: "cannot run \(subject): permission denied; is the file executable?"
    case .notAProgram: "cannot run \(subject): the file is not a program of this machine"
    case .tooManyProcesses: "cannot run \(subject): the system has no room for another process"
    case .other(let number): "cannot run \(subject): error \(number)"
    }
  }
}
