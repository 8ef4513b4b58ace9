import Groundwork

/// When an open file is closed and gets its final name.
public struct RollingPolicy: Sendable, Equatable {
  /// Bytes, as they are on the disk: a file that has reached them is closed. It may be larger by one piece of a task's
  /// output, 1 MiB or so; a batch that writes more than this to one path gives several files.
  public var size: Int64
  /// How long after the time of its first batch, by batch time, a file is closed, also when nothing more is written.
  public var age: Duration
  /// Files that are open at once at most: beyond it the ones that were written least recently are closed early.
  public var openFilesMax: Int

  /// - Parameters:
  ///   - size: bytes on the disk, at least 1.
  ///   - age: longer than nothing.
  ///   - openFilesMax: at least 1.
  public init(size: Int64 = 128 << 20, age: Duration = .seconds(600), openFilesMax: Int = 256) {
    self.size = size
    self.age = age
    self.openFilesMax = openFilesMax
  }

  /// What is wrong with the numbers; nil where nothing.
  var problem: String? {
    if size < 1 { return "a file size of \(size) bytes is not possible: choose 1 or more" }
    if age < .milliseconds(1) { return "a file age of \(age.text) is not possible: choose 1ms or more" }
    if openFilesMax < 1 { return "a limit of \(openFilesMax) open files is not possible: choose 1 or more" }
    return nil
  }

  /// Reads a number of bytes: `1048576`, `64k`, `128m`, `1g` (powers of 1,024, as in Spark's settings; `KiB`, `MiB` and
  /// `GiB` mean the same). Nil where it is anything else, less than 1, or more than 8 EiB.
  public static func bytes(text: String) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let count = Int64(digits), count > 0 else { return nil }
    let shift: Int64
    switch text.dropFirst(digits.count).lowercased() {
    case "", "b": shift = 0
    case "k", "kb", "kib": shift = 10
    case "m", "mb", "mib": shift = 20
    case "g", "gb", "gib": shift = 30
    case "t", "tb", "tib": shift = 40
    default: return nil
    }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
    return overflow ? nil : bytes
  }
}

/// A zone of a fixed distance from UTC: which day and hour of a path a time belongs to.
///
/// Zones with summer time are not known: their hours repeat or are missing once a year, and a path must not.
public struct ZoneOffset: Sendable, Equatable {
  /// Minutes that the zone's clocks are ahead of UTC; negative in the west.
  public var minutes: Int
  /// Coordinated universal time.
  public static let utc = ZoneOffset(minutes: 0)

  /// - Parameter minutes: ahead of UTC.
  public init(minutes: Int) { self.minutes = minutes }

  /// Reads `UTC`, `Z`, `+02:00`, `-0330` or `+2`; nil where it is anything else, or more than 18 hours.
  public init?(text: String) {
    if ["utc", "z", "gmt"].contains(text.lowercased()) {
      self = .utc
      return
    }
    guard let sign = text.first, sign == "+" || sign == "-" else { return nil }
    let rest = text.dropFirst()
    let digits = rest.filter { $0 != ":" }
    guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), rest.count - digits.count <= 1 else { return nil }
    let hours: Int?
    let minutes: Int?
    switch digits.count {
    case 1, 2: (hours, minutes) = (Int(digits), rest.contains(":") ? nil : 0)
    case 4: (hours, minutes) = (Int(digits.prefix(2)), Int(digits.suffix(2)))
    default: return nil
    }
    guard let hours, let minutes, minutes < 60, hours * 60 + minutes <= 18 * 60 else { return nil }
    self.minutes = (sign == "-" ? -1 : 1) * (hours * 60 + minutes)
  }

  /// Milliseconds ahead of UTC.
  var milliseconds: Int64 { Int64(minutes) * 60_000 }
}
