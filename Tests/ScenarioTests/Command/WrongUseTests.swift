import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

/// Every slip has one clear line on standard error, an exit code, and nothing on standard output.
@Suite struct WrongUseTests {
  struct Slip: Sendable, CustomTestStringConvertible {
    var arguments: [String]
    var code: Int32
    var message: String
    init(_ line: String, _ code: Int32, _ message: String) {
      arguments = line.split(separator: " ").map(String.init)
      self.code = code
      self.message = message
    }
    var testDescription: String { "sluice " + arguments.joined(separator: " ") }
  }

  @Test(arguments: [
    Slip("prodcue", 2, "unknown command `prodcue`; did you mean produce? See `sluice --help`"),
    Slip("topics crate", 2, "unknown command `crate`; did you mean create? See `sluice topics --help`"),
    Slip("produce --topc lines", 2, "unknown option --topc; did you mean --topic? See `sluice produce --help`"),
    Slip("produce", 2, "--topic TOPIC is missing. See `sluice produce --help`"),
    Slip("produce --topic", 2, "--topic needs a value: --topic TOPIC. See `sluice produce --help`"),
    Slip(
      "produce -t x --compression-codec lz5", 2,
      "--compression-codec: `lz5` is not known; write none, gzip, snappy, lz4 or zstd. See `sluice produce --help`"),
    Slip(
      "topics create -t x -p many", 2, "-p: `many` is not a whole number. See `sluice topics create --help`"),
    Slip(
      "consume -t x -b nowhere", 2,
      "-b: `nowhere` is not a list of addresses; write HOST:PORT, such as localhost:9092, with commas between several. "
        + "See `sluice consume --help`"),
    Slip("consume -t x extra", 2, "unexpected argument `extra`. See `sluice consume --help`"),
    Slip(
      "submit ./job --batch-interval 5x", 2,
      "--batch-interval: `5x` is not a duration; write 500ms, 2s or 1m. See `sluice submit --help`"),
    Slip(
      "submit ./job --conf sluice.streaming.batchInterval=0", 2,
      "sluice.streaming.batchInterval: `0` is not a duration; write 500ms, 2s or 1m (from --conf)"),
    Slip(
      "submit ./job --master yarn", 2,
      "sluice.master: `yarn` is not understood; write local[2], or local[*] for one thread a core (from --master)"),
    Slip(
      "submit ./job --properties-file nowhere.conf", 2,
      "the properties file cannot be read: cannot open nowhere.conf: there is no such file or folder"),
    Slip("submit ./missing", 2, "there is no job ./missing: check the path of its executable"),
    Slip("submit FlightDelay", 2, "did you mean FlightDelays?"),
    Slip("submit", 2, "JOB is missing. See `sluice submit --help`"),
    Slip("etl --topic x", 2, "--to DIR is missing. See `sluice etl --help`"),
    Slip(
      "etl --topic x --to y --format xml", 2,
      "--format: `xml` is not known; write text, json or csv. See `sluice etl --help`"),
    Slip("files ls /dev", 1, "/dev has no manifest (_sluice): name a folder that saveToFiles or sluice etl writes to"),
    Slip("files verify", 2, "DIR is missing. See `sluice files verify --help`"),
    Slip("broker --listen 9092", 2, "--listen: `9092` is not an address; write HOST:PORT, such as localhost:9092"),
    Slip("produce -t x --property parse.keys=true", 2, "unknown property parse.keys; did you mean parse.key?"),
    Slip("consume -t x --property print.key=1", 2, "property print.key: `1` is neither true nor false"),
    Slip("consume -t x --offset 5", 2, "--offset: `5` means one partition; name it with --partition"),
    Slip("consume -t x --offset soon", 2, "--offset: `soon` is no offset; write a number, earliest or latest"),
    Slip("broker --config num.partition=3", 2, "the broker has no setting num.partition; did you mean num.partitions?"),
    Slip("broker --config num.partitions=0", 2, "--config num.partitions: `0` is not 1 to 10000"),
    Slip("broker --data /dev/null/x", 1, "/dev/null/x"),
    Slip("topics describe -t nope", 1, "there is no topic nope: create it with `sluice topics create`"),
    Slip("consume -t nope", 1, "there is no topic nope: create it with `sluice topics create`"),
    Slip("topics delete -t nope", 1, "there is no topic nope"),
    Slip("transactions describe", 2, "give either --transactional-id or --topic"),
    Slip("transactions describe --transactional-id nope", 1, "no transactional id nope is known"),
    Slip("transactions abort -t nope -p 0 --start-offset 0", 1, "there is no topic nope"),
    Slip("produce -t x --file nowhere.txt", 1, "cannot open nowhere.txt: there is no such file or folder"),
    Slip("broker --flush never", 2, "--flush: `never` is not known; write os or sync. See `sluice broker --help`"),
  ])
  func isOneClearLine(slip: Slip) throws {
    let place = try Place()
    _ = try place.script("job", "exit 0")
    let outcome = try Program.sluice(slip.arguments, in: place)
    #expect(outcome.exit == .code(slip.code))
    #expect(outcome.error.hasPrefix("sluice: "))
    #expect(outcome.error.contains(slip.message), "\(outcome.error)")
    #expect(outcome.error.filter { $0 == "\n" }.count == 1)
    #expect(outcome.output == "")
  }

  @Test(arguments: [
    "broker", "topics list", "topics create", "topics describe", "topics delete", "produce", "consume", "submit", "etl",
    "files ls", "files verify",
    "transactions list", "transactions describe", "transactions abort",
  ])
  func everyCommandExplainsItself(command: String) throws {
    let place = try Place()
    let words = command.split(separator: " ").map(String.init)
    let outcome = try Program.sluice(words + ["--help"], in: place)
    #expect(outcome.exit == .code(0))
    #expect(outcome.output.hasPrefix("Usage: sluice \(command)"))
    #expect(outcome.output.contains("\nExample"))
    #expect(try Program.sluice(["help"] + words, in: place).output == outcome.output)
  }

  @Test func withoutACommandItShowsWhatThereIs() throws {
    let place = try Place()
    let bare = try Program.sluice([], in: place)
    #expect(bare.exit == .code(2))
    let help = try Program.sluice(["--help"], in: place)
    #expect(help.exit == .code(0))
    #expect(help.output == bare.error)
    #expect(try Program.sluice(["version"], in: place).output.hasPrefix("sluice "))
  }

  /// An address of this machine on which nobody listens: a port that was bound and given back.
  @Test func anUnreachableBrokerIsNamedWithTheTime() throws {
    let place = try Place()
    let outcome = try Program.sluice(["topics", "list", "-b", "127.0.0.1:1"], in: place)
    #expect(outcome.exit == .code(1))
    #expect(outcome.error.contains("cannot reach a Kafka broker at 127.0.0.1:1 after "), "\(outcome.error)")
    #expect(outcome.error.contains("connection refused"))
  }
}
