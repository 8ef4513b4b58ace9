import Sluice

/// `sluice submit`: runs a job's executable with settings, and watches over it.
enum SubmitCommand: Command {
  static let supervision: [OptionSpec] = [
    .flag("supervise", "start the job again when it fails"),
    .value(
      "crash-limit", "N", "failures within the crash window that end it", default: "5", format: .integer(1...1000)),
    .value("crash-window", "TIME", "the crash window; a run as long is healthy", default: "60s", format: .duration),
    .value("restart-pause", "TIME", "first pause; it doubles with each failure", default: "1s", format: .duration),
    .value("restart-pause-max", "TIME", "longest pause", default: "30s", format: .duration),
  ]

  static let spec = CommandSpec(
    name: "sluice submit", summary: "Runs a job: an executable by its path, or by its name beside sluice.",
    discussion: """
      Settings go on to the job, SIGINT and SIGTERM too; the exit code is the job's. Two live jobs of one name are \
      refused.
      With --supervise a job that fails is started again after a pause. Code 0 and code 2 (wrong use) end it, and so do \
      as many failures within the crash window as the crash limit.
      """,
    positionals: [.init("JOB", "path or name of the job's executable")],
    options: JobOptions.standard + supervision, rest: "job arguments",
    examples: [
      .init("sluice submit WordCount -b localhost:9092 --batch-interval 500ms -- --input lines", "a job beside sluice"),
      .init("sluice submit --supervise --name counts ./MyJob", "day and night"),
    ])
}

extension SubmitCommand {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    try JobRun.run(try program(options.positionals[0], process), options, process)
  }

  /// The job's executable: a path as it stands, a bare name beside `sluice`.
  static func program(_ job: String, _ process: CommandProcess) throws -> String {
    let files = process.world.files
    let path = job.contains("/") ? job : "\(process.programFolder)/\(job)"
    if let found = try files.attributes(path), !found.isDirectory { return path }
    if job.contains("/") {
      throw CommandError(
        "there is no job \(job): check the path of its executable (swift build prints its folder with --show-bin-path)",
        exitCode: ExitCode.usage)
    }
    // What a build leaves beside programs has a dot in its name.
    let neighbours = ((try? files.list(process.programFolder)) ?? []).filter { !$0.contains(".") && $0 != "sluice" }
    let hint =
      Suggestions.nearest(to: job, among: neighbours).map { "did you mean \($0)?" }
      ?? "write the path of its executable, such as ./\(job)"
    throw CommandError(
      "there is no job \(job) beside sluice, in \(process.programFolder); \(hint)", exitCode: ExitCode.usage)
  }
}
