import Groundwork
import Streaming

/// A job executable: what it computes, and the options it takes. Marked `@main`, it parses its arguments, connects, runs
/// until it is stopped or done, and exits with a code.
///
/// ```swift
/// @main struct Echo: StreamingJob {
///   func define(_ context: StreamingContext, _ options: Options) throws {
///     context.topicStream("lines").map { $0.value }.print()
///   }
/// }
/// ```
///
/// Every job also understands the options of `JobOptions.standard`; `--help` shows them.
public protocol StreamingJob: Sendable {
  /// Made by `main` just before `define`; the arguments come to `define`, not here.
  init()
  /// The job's name, unless `--name` gives another: its consumer group and its lock carry it. The type's name by default.
  static var name: String { get }
  /// One sentence for `--help`.
  static var summary: String { get }
  /// The job's own options.
  static var options: [OptionSpec] { get }
  /// Command lines that work, for `--help`.
  static var examples: [CommandSpec.Example] { get }
  /// Settings that hold unless a flag or a file says otherwise.
  static var defaults: [String: String] { get }
  /// Settings that stand over flags and files.
  static var settings: [String: String] { get }
  /// Defines sources, transformations and outputs; called once, before the job starts.
  func define(_ context: StreamingContext, _ options: Options) throws
}

extension StreamingJob {
  /// The type's name.
  public static var name: String { "\(Self.self)" }
  /// A sentence that fits any job.
  public static var summary: String { "A streaming job." }
  /// None of its own.
  public static var options: [OptionSpec] { [] }
  /// No example.
  public static var examples: [CommandSpec.Example] { [] }
  /// Nothing beside the engine's own defaults.
  public static var defaults: [String: String] { [:] }
  /// Nothing stands over flags and files.
  public static var settings: [String: String] { [:] }

  /// The program: see `StreamingJob`.
  public static func main() {
    JobProgram(
      CommandSpec(name: name, summary: summary, options: options + JobOptions.standard, examples: examples),
      name: name, defaults: defaults, settings: settings, define: { try Self().define($0, $1) }
    ).run()
  }
}
