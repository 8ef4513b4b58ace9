import Groundwork
import Sluice

/// `sluice files ls`.
enum FilesList: Command {
  static let spec = CommandSpec(
    name: "sluice files ls", summary: "Lists the files of an output folder.",
    discussion: """
      Every file that holds something committed, with the batches in it, records, and bytes. Open files have hidden names, \
      and more bytes on the disk than count; they get their names when they are rolled. It only reads, also while the job \
      runs.
      """,
    positionals: [.init("DIR", "a folder that saveToFiles or sluice etl writes to")], options: [],
    examples: [.init("sluice files ls /srv/archive", "what is in the archive")])

  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let report = try FolderReport(directory: FolderText.directory(options.positionals[0]), files: process.world.files)
    process.show(text(report))
    return ExitCode.success
  }

  static func text(_ report: FolderReport) -> String {
    var table = TextTable([
      ("file", .left), ("state", .left), ("batches", .left), ("records", .right), ("bytes", .right),
    ])
    for file in report.committed {
      let batches = file.firstBatch == file.lastBatch ? "\(file.firstBatch)" : "\(file.firstBatch)-\(file.lastBatch)"
      table.add([
        file.path, file.phase == .open ? "open" : "rolled", batches, "\(file.records)", "\(file.length)",
      ])
    }
    return table.text + "\n" + FolderText.summary(report)
  }
}

/// `sluice files verify`.
enum FilesVerify: Command {
  static let spec = CommandSpec(
    name: "sluice files verify", summary: "Reads the files of an output folder and compares them with its manifest.",
    discussion: """
      Lengths and checksums of all files, that no batch is missing and none is there twice, and that nothing lies there \
      that was never committed. A line for each damage; the exit code is 1 where there is any. It only reads, also while \
      the job runs. Rolled files may be removed by whoever uses them, the oldest of a directory first: they are counted, \
      and are no damage.
      """,
    positionals: [.init("DIR", "a folder that saveToFiles or sluice etl writes to")],
    options: [.flag("strict", "every file that is gone is damage, also where it was removed after it was complete")],
    examples: [.init("sluice files verify /srv/archive", "is everything there, once")])

  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let report = try FolderReport(directory: FolderText.directory(options.positionals[0]), files: process.world.files)
    let result = try report.verify(isStrict: try options.flag("strict"))
    var text = ""
    for problem in result.problems { text += "\(problem)\n" }
    for note in result.notes { text += "note: \(note)\n" }
    text += "\(result.files) of \(report.committed.count) files as committed, "
    if result.removed > 0 { text += "\(result.removed) removed, " }
    text += "\(result.records) records, "
    text += "\(result.bytes) bytes, \(report.batches) batches up to \(report.lastBatch); "
    text += result.problems.isEmpty ? "no damage\n" : "\(result.problems.count) damaged\n"
    process.show(text)
    return result.problems.isEmpty ? ExitCode.success : ExitCode.failure
  }
}

/// What both say.
enum FolderText {
  /// Without a slash at the end.
  static func directory(_ path: String) -> String {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return path
  }

  static func summary(_ report: FolderReport) -> String {
    let open = report.committed.count { $0.phase == .open }
    let bytes = report.committed.reduce(0) { $0 + $1.length }
    var text = "job \(report.job): \(report.committed.count) files (\(open) open), \(report.records) records, "
    text += "\(bytes) bytes, \(report.batches) batches up to \(report.lastBatch)\n"
    if let batch = report.preparedBatch { text += "batch \(batch) is prepared and not decided\n" }
    return text
  }
}
