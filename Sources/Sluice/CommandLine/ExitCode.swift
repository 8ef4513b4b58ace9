/// The exit codes of `sluice` and of every job.
public enum ExitCode {
  /// The command did what it was asked to.
  public static let success: Int32 = 0
  /// Something went wrong while running: a broker away, a disk full, a batch that failed.
  public static let failure: Int32 = 1
  /// Wrong use: an unknown option, a bad value. A restart does not mend it.
  public static let usage: Int32 = 2
  /// Ended by a signal: 130 for SIGINT (Ctrl-C), 143 for SIGTERM.
  public static func signal(_ number: Int32) -> Int32 { 128 + number }
}
