/// Whose fault an error is: it decides what a message tells its reader to do.
public enum Fault: Sendable {
  /// A wrong flag, a wrong setting, a job that asks for what cannot be.
  case user
  /// A peer that is away, slow, or answered what it must not.
  case peer
  /// A disk, memory or another resource of this machine.
  case machine
  /// A defect of ours.
  case ours
}

/// The answers every error of ours gives beside its text.
public protocol DiagnosableError: Error, CustomStringConvertible, Sendable {
  /// Whose part it is to do something about it.
  var fault: Fault { get }
  /// Whether the same call may succeed later, unchanged.
  var isRetriable: Bool { get }
  /// Whether the object that threw can still be used.
  var leavesUsable: Bool { get }
  /// Whether this process can do nothing more about it, however often it tries: a newer instance of the job has its place,
  /// say. Mostly false.
  var needsRestart: Bool { get }
}

extension DiagnosableError {
  /// False.
  public var needsRestart: Bool { false }
}
