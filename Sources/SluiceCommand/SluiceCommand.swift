import Sluice

/// `sluice`: reads which command is meant, runs it, and ends with its exit code.
package enum SluiceCommand {
  /// Ends the process.
  package static func main() { CommandProcess.run(Array(CommandLine.arguments.dropFirst()), CommandTable.run) }
}

/// A command of `sluice`: what it takes, and what it does.
protocol Command {
  static var spec: CommandSpec { get }
  /// - Returns: the exit code.
  /// - Throws: an error whose text is the one line shown for it.
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32
}

/// Which word means which command.
enum CommandTable {
  static var topics: [(word: String, command: any Command.Type)] {
    [
      ("list", TopicsList.self), ("create", TopicsCreate.self), ("describe", TopicsDescribe.self),
      ("delete", TopicsDelete.self),
    ]
  }
  static var checkpoint: [(word: String, command: any Command.Type)] {
    [("show", CheckpointShow.self), ("diff", CheckpointDiff.self)]
  }
  static var files: [(word: String, command: any Command.Type)] {
    [("ls", FilesList.self), ("verify", FilesVerify.self)]
  }
  static var transactions: [(word: String, command: any Command.Type)] {
    [("list", TransactionsList.self), ("describe", TransactionsDescribe.self), ("abort", TransactionsAbort.self)]
  }
  static var commands: [(word: String, command: any Command.Type)] {
    [
      ("broker", BrokerCommand.self), ("produce", ProduceCommand.self), ("consume", ConsumeCommand.self),
      ("submit", SubmitCommand.self), ("etl", EtlCommand.self), ("verify", VerifyCommand.self),
    ]
  }

  /// What `sluice` and `sluice --help` show.
  static var overview: String {
    var rows = commands.map { ("sluice \($0.word)", $0.command.spec.summary) }
    rows.insert(
      ("sluice topics …", "Lists, creates, describes and deletes topics: list, create, describe, delete."), at: 1)
    rows.append(("sluice transactions …", "Shows transactions, and ends those that hang: list, describe, abort."))
    rows.append(("sluice checkpoint …", "Shows and compares what jobs keep for a restart: show, diff."))
    rows.append(("sluice files …", "Lists and checks the files of an output folder: ls, verify."))
    rows.append(("sluice version", "Prints the version."))
    rows.append(("sluice help COMMAND", "Explains a command; so does COMMAND --help."))
    return """
      Usage: sluice COMMAND [options]

      Sluice runs streams in small batches: topics in, topics and files out, with a broker inside.

      Commands:
      \(HelpText.twoColumns(rows, columns: 100).joined(separator: "\n"))

      Examples:
        # two lines into a topic of the broker inside, and out again
        printf 'one\\ntwo\\n' | sluice produce --topic lines
        sluice consume --topic lines --from-beginning --max-messages 2

      """
  }

  static var checkpointOverview: String {
    let rows = checkpoint.map { ("sluice checkpoint \($0.word)", $0.command.spec.summary) }
    return """
      Usage: sluice checkpoint show|diff DIR [options]

      \(HelpText.twoColumns(rows, columns: 100).joined(separator: "\n"))

      Example:
        # where a job stands
        sluice checkpoint show /var/lib/sessions

      """
  }

  static var filesOverview: String {
    let rows = files.map { ("sluice files \($0.word)", $0.command.spec.summary) }
    return """
      Usage: sluice files ls|verify DIR [options]

      \(HelpText.twoColumns(rows, columns: 100).joined(separator: "\n"))

      Example:
        # is everything there, once
        sluice files verify /srv/archive

      """
  }

  static var topicsOverview: String {
    let rows = topics.map { ("sluice topics \($0.word)", $0.command.spec.summary) }
    return """
      Usage: sluice topics list|create|describe|delete [options]

      \(HelpText.twoColumns(rows, columns: 100).joined(separator: "\n"))

      Example:
        # a topic with four partitions
        sluice topics create --topic flights --partitions 4

      """
  }

  static var transactionsOverview: String {
    let rows = transactions.map { ("sluice transactions \($0.word)", $0.command.spec.summary) }
    return """
      Usage: sluice transactions list|describe|abort [options]

      \(HelpText.twoColumns(rows, columns: 100).joined(separator: "\n"))

      Example:
        # who holds up the readers of committed records
        sluice transactions list --state Ongoing

      """
  }

  /// Runs a command line.
  static func run(_ arguments: [String], _ process: CommandProcess) throws -> Int32 {
    guard let word = arguments.first else {
      process.showError(overview)
      return ExitCode.usage
    }
    let rest = Array(arguments.dropFirst())
    switch word {
    case "help", "--help", "-h":
      if rest.isEmpty {
        process.show(overview)
        return ExitCode.success
      }
      return try run(rest + ["--help"], process)
    case "version", "--version":
      process.show("sluice \(SluiceVersion.text)\n")
      return ExitCode.success
    case "topics": return try run(rest, among: topics, "sluice topics", topicsOverview, process)
    case "transactions":
      return try run(rest, among: transactions, "sluice transactions", transactionsOverview, process)
    case "checkpoint": return try run(rest, among: checkpoint, "sluice checkpoint", checkpointOverview, process)
    case "files": return try run(rest, among: files, "sluice files", filesOverview, process)
    default:
      return try run(word, among: commands, "sluice", rest, process)
    }
  }

  /// A command that has commands of its own.
  private static func run(
    _ arguments: [String], among table: [(word: String, command: any Command.Type)], _ parent: String,
    _ overview: String, _ process: CommandProcess
  ) throws -> Int32 {
    guard let next = arguments.first else {
      process.showError(overview)
      return ExitCode.usage
    }
    if ["help", "--help", "-h"].contains(next) {
      process.show(overview)
      return ExitCode.success
    }
    return try run(next, among: table, parent, Array(arguments.dropFirst()), process)
  }

  private static func run(
    _ word: String, among table: [(word: String, command: any Command.Type)], _ parent: String, _ arguments: [String],
    _ process: CommandProcess
  ) throws -> Int32 {
    guard let command = table.first(where: { $0.word == word })?.command else {
      var known = table.map(\.word)
      if parent == "sluice" { known += ["topics", "transactions", "checkpoint", "files", "version", "help"] }
      throw OptionError(.unknownCommand(word, suggestion: Suggestions.nearest(to: word, among: known)), command: parent)
    }
    let options = try command.spec.parse(arguments)
    if options.isHelpAsked {
      process.show(command.spec.helpText(columns: process.columns))
      return ExitCode.success
    }
    return try command.run(options, process)
  }
}
