/// The number of a job, counted from 1 in the order of submission.
public struct JobID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// 1 for a scheduler's first job.
  public let rawValue: Int
  /// Takes any number: the scheduler alone gives those that mean something.
  public init(_ rawValue: Int) { self.rawValue = rawValue }
  /// Whether `a` was submitted before `b`.
  public static func < (a: JobID, b: JobID) -> Bool { a.rawValue < b.rawValue }
  /// The number in decimal.
  public var description: String { String(rawValue) }
}

/// The number of a stage within its scheduler, counted from 1 in the order of planning, the last stage of a job first.
public struct StageID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// 1 for a scheduler's first stage.
  public let rawValue: Int
  /// Takes any number: the scheduler alone gives those that mean something.
  public init(_ rawValue: Int) { self.rawValue = rawValue }
  /// Whether `a` was planned before `b`.
  public static func < (a: StageID, b: StageID) -> Bool { a.rawValue < b.rawValue }
  /// The number in decimal.
  public var description: String { String(rawValue) }
}
