/// The number of a job, counted from 1 in the order of submission.
public struct JobID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let rawValue: Int
  public init(_ rawValue: Int) { self.rawValue = rawValue }
  public static func < (a: JobID, b: JobID) -> Bool { a.rawValue < b.rawValue }
  public var description: String { String(rawValue) }
}

/// The number of a stage within its scheduler, counted from 1 in the order of planning, the last stage of a job first.
public struct StageID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let rawValue: Int
  public init(_ rawValue: Int) { self.rawValue = rawValue }
  public static func < (a: StageID, b: StageID) -> Bool { a.rawValue < b.rawValue }
  public var description: String { String(rawValue) }
}
