import Groundwork
import Testing

@testable import Sluice

@Suite struct OptionParserTests {
  static let spec = CommandSpec(
    name: "sluice produce", summary: "Writes lines to a topic.",
    positionals: [.init("FILE", "what to read", required: false)],
    options: [
      .value("topic", "TOPIC", "topic to write to", short: "t", required: true),
      .value("partitions", "N", "partitions", default: "1", format: .integer(1...100)),
      .value("window", "TIME", "length", format: .duration),
      .value("bootstrap-server", "HOST:PORT", "brokers", short: "b", aliases: ["broker-list"], format: .addresses),
      .value("format", "FORMAT", "output", default: "text", format: .choice(["text", "json"])),
      .repeated("property", "KEY=VALUE", "a property", format: .keyValue),
      .flag("verbose", "say more", short: "v"),
    ], rest: "job arguments",
    examples: [.init("sluice produce --topic lines", "one record a line of standard input")])

  /// Reads a command line cut at spaces.
  func parse(_ line: String) throws(OptionError) -> Options {
    try Self.spec.parse(line.split(separator: " ").map(String.init))
  }

  @Test func readsEveryForm() throws {
    let options = try parse(
      "-t lines --partitions=4 --window 2s -blocalhost:9092,[::1]:9093 --property a=b=c --property=a.x= -v in.txt -- --x"
    )
    #expect(try options.required("topic") == "lines")
    #expect(try options.int("partitions") == 4)
    #expect(try options.duration("window") == .seconds(2))
    #expect(try options.addresses("bootstrap-server").map(\.description) == ["localhost:9092", "[::1]:9093"])
    #expect(try options.properties("property") == ["a": "b=c", "a.x": ""])
    #expect(try options.all("property") == ["a=b=c", "a.x="])
    #expect(try options.flag("verbose"))
    #expect(options.positionals == ["in.txt"])
    #expect(options.rest == ["--x"])
  }

  @Test func defaultsStandWhereNothingIsGiven() throws {
    let options = try parse("--topic t")
    #expect(try options.int("partitions") == 1)
    #expect(try options.isGiven("partitions") == false)
    #expect(try options.string("format") == "text")
    #expect(try options.duration("window") == nil)
    #expect(try options.flag("verbose") == false)
    #expect(try options.all("property") == [])
  }

  @Test func aValueMayBeginWithADashUnlessItIsAnOption() throws {
    let spec = CommandSpec(
      name: "x", summary: "", options: [.value("offset", "N", "", format: .integer(-2...9)), .flag("all", "")])
    #expect(try spec.parse(["--offset", "-1"]).int("offset") == -1)
    #expect(throws: OptionError(.missingValue(option: "--offset", placeholder: "N"), command: "x")) {
      try spec.parse(["--offset", "--all"])
    }
  }

  @Test func aliasesMeanTheOption() throws {
    #expect(try parse("--topic t --broker-list h:1").addresses("bootstrap-server").count == 1)
    #expect(
      try parse("--topic t --broker-list h:1").arguments(only: ["bootstrap-server"]) == ["--bootstrap-server", "h:1"])
  }

  @Test(arguments: [
    (
      "--topc lines", "unknown option --topc; did you mean --topic? See `sluice produce --help`"
    ),
    ("--topic t --zzzzzz", "unknown option --zzzzzz. See `sluice produce --help`"),
    ("--topic t -z", "unknown option -z. See `sluice produce --help`"),
    ("--topic", "--topic needs a value: --topic TOPIC. See `sluice produce --help`"),
    ("--topic --verbose", "--topic needs a value: --topic TOPIC. See `sluice produce --help`"),
    ("--verbose", "--topic TOPIC is missing. See `sluice produce --help`"),
    ("--topic a --topic b", "--topic is given twice; write it once. See `sluice produce --help`"),
    ("--topic a --verbose=1", "--verbose takes no value; write --verbose alone. See `sluice produce --help`"),
    (
      "--topic a --window 5x",
      "--window: `5x` is not a duration; write 500ms, 2s or 1m. See `sluice produce --help`"
    ),
    (
      "--topic a --window 0s",
      "--window: `0s` is no time at all; write 500ms, 2s or 1m. See `sluice produce --help`"
    ),
    ("--topic a --partitions x", "--partitions: `x` is not a whole number. See `sluice produce --help`"),
    ("--topic a --partitions 0", "--partitions: `0` is outside 1 to 100. See `sluice produce --help`"),
    ("--topic a --format xml", "--format: `xml` is not known; write text or json. See `sluice produce --help`"),
    ("--topic a --property x", "--property: `x` is not a setting; write KEY=VALUE. See `sluice produce --help`"),
    (
      "--topic a -b nowhere",
      "-b: `nowhere` is not a list of addresses; write HOST:PORT, such as localhost:9092, with commas between "
        + "several. See `sluice produce --help`"
    ),
    ("--topic a one two", "unexpected argument `two`. See `sluice produce --help`"),
  ])
  func wrongUseSaysWhatToWrite(line: String, message: String) {
    do throws(OptionError) {
      _ = try parse(line)
      Issue.record("\(line) was accepted")
    } catch {
      #expect(error.description == message)
      #expect(error.fault == .user)
    }
  }

  @Test func anUndeclaredNameIsTheProgramsFault() throws {
    let options = try parse("--topic t")
    do throws(OptionError) {
      _ = try options.string("topik")
      Issue.record("an undeclared option was read")
    } catch { #expect(error.fault == .ours) }
  }

  @Test func helpIsThereWhateverElseIsWrong() throws {
    #expect(try parse("--zzz --help").isHelpAsked)
    #expect(try parse("-h").isHelpAsked)
    #expect(try parse("--topic t -- --help").isHelpAsked == false)
  }

  @Test func helpIsAligned() {
    #expect(
      Self.spec.helpText(columns: 80) == """
        Usage: sluice produce [FILE] --topic TOPIC [options] [-- job arguments]

        Writes lines to a topic.

        Arguments:
          FILE  what to read

        Options:
          -t, --topic TOPIC                 topic to write to (required)
              --partitions N                partitions (default 1)
              --window TIME                 length
          -b, --bootstrap-server HOST:PORT  brokers
              --format FORMAT               output (text or json; default text)
              --property KEY=VALUE          a property (may be repeated)
          -v, --verbose                     say more
          -h, --help                        show this text

        Example:
          # one record a line of standard input
          sluice produce --topic lines

        """)
  }

  @Test func aJobsOwnOptionStandsBeforeTheStandardOne() {
    let spec = CommandSpec(
      name: "Job", summary: "", options: [.value("batch-interval", "TIME", "mine", short: "b")] + JobOptions.standard)
    #expect(spec.options.filter { $0.name == "batch-interval" }.map(\.help) == ["mine"])
    #expect(spec.option(letter: "b")?.name == "batch-interval")
    #expect(spec.option(named: "bootstrap-server")?.short == nil)
  }

  @Test func standardOptionsComeBackAsArguments() throws {
    let spec = CommandSpec(name: "sluice submit", summary: "", options: JobOptions.standard)
    let given = [
      "--bootstrap-server", "h:1", "--master", "local[2]", "--available-now", "--conf", "a=1", "--conf", "b=2",
    ]
    let options = try spec.parse(["--conf", "a=1", "-b", "h:1", "--available-now", "--conf=b=2", "--master=local[2]"])
    #expect(options.arguments(only: JobOptions.names) == given)
    #expect(try spec.parse(given).arguments(only: JobOptions.names) == given)
  }

  @Test(arguments: [
    ("topc", "topic"), ("tpoic", "topic"), ("partition", "partitions"), ("from-begining", "from-beginning"),
    ("boot", "bootstrap-server"), ("xyz", nil), ("", nil),
  ])
  func suggestsTheNearest(typed: String, meant: String?) {
    #expect(
      Suggestions.nearest(to: typed, among: ["topic", "partitions", "from-beginning", "bootstrap-server", "help"])
        == meant)
  }
}
