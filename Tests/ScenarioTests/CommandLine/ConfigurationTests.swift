import Groundwork
import SystemInterfaces
import Testing

@testable import Sluice

/// Files held in a dictionary: all a configuration reads.
struct HeldFiles: FileStore {
  final class Held: File {
    let path: String
    let content: Bytes
    init(_ path: String, _ content: Bytes) {
      self.path = path
      self.content = content
    }
    func size() throws(FileError) -> Int64 { Int64(content.count) }
    func read(at position: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
      let part = content[min(Int(position), content.count)..<min(Int(position) + buffer.count, content.count)]
      part.withUnsafeBytes { buffer.copyMemory(from: $0) }
      return part.count
    }
    func write(at position: Int64, _ parts: [Bytes]) throws(FileError) { throw refusal("write") }
    func truncate(to size: Int64) throws(FileError) { throw refusal("truncate") }
    func sync() throws(FileError) {}
    private func refusal(_ operation: String) -> FileError { FileError(.readOnly, path: path, operation: operation) }
  }

  var content: [String: String]

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
    guard let text = content[path] else { throw FileError(.notFound, path: path, operation: "open") }
    return Held(path, Bytes(text))
  }
  func createDirectories(_ path: String) throws(FileError) {}
  func list(_ path: String) throws(FileError) -> [String] { content.keys.sorted() }
  func attributes(_ path: String) throws(FileError) -> FileAttributes? { nil }
  func removeFile(_ path: String) throws(FileError) { throw FileError(.readOnly, path: path, operation: "remove") }
  func removeTree(_ path: String) throws(FileError) { throw FileError(.readOnly, path: path, operation: "remove") }
  func rename(_ from: String, to: String) throws(FileError) {
    throw FileError(.readOnly, path: from, operation: "rename")
  }
  func syncDirectory(_ path: String) throws(FileError) {}
  func lock(_ path: String, holder: String) throws(FileError) -> any FileLock {
    throw FileError(.readOnly, path: path, operation: "lock")
  }
  func lockHolder(_ path: String) throws(FileError) -> String? { nil }
}

@Suite struct ConfigurationTests {
  func configuration(_ arguments: [String], _ files: [String: String] = [:]) throws -> SluiceConfiguration {
    let spec = CommandSpec(name: "Job", summary: "", options: JobOptions.standard)
    return try SluiceConfiguration(options: try spec.parse(arguments), files: HeldFiles(content: files))
  }

  @Test func codeStandsOverFlagsOverFileOverDefaults() throws {
    let files = [
      "job.properties": """
      # the job
      sluice.streaming.batchInterval 10s
      sluice.kafka.maxRatePerPartition=1000
      sluice.task.maxFailures: 7
      """
    ]
    var settings = try configuration(
      [
        "--properties-file", "job.properties", "--conf", "sluice.kafka.maxRatePerPartition=5", "--batch-interval", "2s",
      ],
      files)
    #expect(try settings.duration("sluice.streaming.batchInterval") == .seconds(2))
    #expect(try settings.int("sluice.kafka.maxRatePerPartition") == 5)
    #expect(try settings.int("sluice.task.maxFailures") == 7)
    #expect(settings.text("sluice.master") == "local[*]")
    settings.set("sluice.streaming.batchInterval", "1m")
    #expect(try settings.duration("sluice.streaming.batchInterval") == .seconds(60))
    #expect(settings.origin(of: "sluice.task.maxFailures") == "job.properties, line 4")
    #expect(settings.origin(of: "sluice.master") == nil)
    #expect(settings.warnings == [])
  }

  @Test func checkDeterminismStandsForItsSetting() throws {
    #expect(try configuration(["--check-determinism"]).text("sluice.streaming.checkDeterminism") == "true")
    let given = try configuration(["--conf", "sluice.streaming.checkDeterminism=7"])
    #expect(given.text("sluice.streaming.checkDeterminism") == "7")
  }

  @Test func offsetsFromStandsForItsSetting() throws {
    for choice in ["group", "checkpoint"] {
      let settings = try configuration(["--offsets-from", choice])
      #expect(settings.text("sluice.kafka.offsetsFrom") == choice)
    }
    #expect(throws: OptionError.self) { try configuration(["--offsets-from", "log"]) }
  }

  @Test func aDedicatedOptionStandsOverConf() throws {
    let settings = try configuration(["--batch-interval", "2s", "--conf", "sluice.streaming.batchInterval=3s"])
    #expect(try settings.duration("sluice.streaming.batchInterval") == .seconds(2))
    #expect(try configuration(["--available-now"]).bool("sluice.streaming.availableNow"))
    #expect(try configuration([]).bool("sluice.streaming.availableNow") == false)
  }

  @Test(arguments: [
    (
      "sluice.streaming.batchInterval=5x",
      "sluice.streaming.batchInterval: `5x` is not a duration; write 500ms, 2s or 1m (from --conf)"
    ),
    (
      "sluice.master=local[0]",
      "sluice.master: `local[0]` is not understood; write local[2], or local[*] for one thread a core (from --conf)"
    ),
    ("sluice.task.maxFailures=-1", "sluice.task.maxFailures: `-1` is not a whole number of 0 or more (from --conf)"),
    (
      "sluice.streaming.availableNow=yes",
      "sluice.streaming.availableNow: `yes` is neither true nor false (from --conf)"
    ),
  ])
  func aWrongValueSaysWhatToWrite(setting: String, message: String) throws {
    let settings = try configuration(["--conf", setting])
    do throws(ConfigurationError) {
      try settings.check()
      Issue.record("\(setting) was accepted")
    } catch { #expect(error.description == message) }
  }

  @Test func defaultsAreValid() throws { try SluiceConfiguration().check() }

  @Test func unknownSettingsAreNamedWithTheNearest() throws {
    let settings = try configuration([
      "--conf", "sluice.streaming.batchIntervall=1s", "--conf", "my.own=1", "--conf",
      "spark.streaming.batchInterval=1s",
      "--conf", "sluice.zzz=1",
    ])
    #expect(
      settings.warnings == [
        "unknown setting sluice.streaming.batchIntervall (from --conf); it has no effect; did you mean "
          + "sluice.streaming.batchInterval?",
        "unknown setting sluice.zzz (from --conf); it has no effect",
        "setting spark.streaming.batchInterval (from --conf) is Spark's; it has no effect; did you mean "
          + "sluice.streaming.batchInterval?",
      ])
  }

  @Test(arguments: [("local", 1), ("local[2]", 2), ("local[*]", 8), ("local[1024]", 1024)])
  func masterCountsExecutors(text: String, count: Int) {
    #expect(Master(text: text)?.executorCount(cores: 8) == count)
  }

  @Test(arguments: ["", "local[]", "local[0]", "local[-1]", "local[1025]", "yarn", "local[2", "spark://h:7077"])
  func masterRefusesTheRest(text: String) { #expect(Master(text: text) == nil) }

  @Test func propertiesFollowJava() throws {
    let text = """
      # comment
      ! also a comment
        indented = yes

      plain value with spaces
      colon: x
      equals=a=b:c
      spaced   =   v
      empty
      empty2=
      long = one, \\
             two, \\
         three
      key\\ with\\=escapes\\: = tab\\there
      unicode = \\u00e9\\u20ac
      path = C:\\\\dir\\\\
      last = end\\
      """
    let entries = try PropertiesFile.parse(text, name: "x")
    #expect(
      entries.map { "\($0.line) \($0.key)=\($0.value)" } == [
        "3 indented=yes", "5 plain=value with spaces", "6 colon=x", "7 equals=a=b:c", "8 spaced=v", "9 empty=",
        "10 empty2=", "11 long=one, two, three", "14 key with=escapes:=tab\there", "15 unicode=é€", "16 path=C:\\dir\\",
        "17 last=end",
      ])
  }

  @Test func brokenPropertiesNameTheLine() {
    for (text, message) in [
      ("a=1\n=2", "x, line 2: there is no key; write KEY=VALUE"),
      ("a=\\u12", "x, line 1: `\\u` must be followed by the four hex digits of a character"),
      ("a=\\ud800", "x, line 1: `\\u` must be followed by the four hex digits of a character"),
    ] {
      do throws(ConfigurationError) {
        _ = try PropertiesFile.parse(text, name: "x")
        Issue.record("\(text) was accepted")
      } catch { #expect(error.description == message) }
    }
  }

  @Test func aMissingPropertiesFileIsNamed() {
    do {
      _ = try configuration(["--properties-file", "nowhere"])
      Issue.record("a missing file was read")
    } catch {
      #expect(
        "\(error)"
          == "the properties file cannot be read: cannot open nowhere: there is no such file or folder")
    }
  }

  @Test func stateLivesWhereXDGSays() throws {
    #expect(try StateDirectory { ["XDG_STATE_HOME": "/s", "HOME": "/h"][$0] }.broker == "/s/sluice/broker")
    #expect(try StateDirectory { ["XDG_STATE_HOME": "rel", "HOME": "/h"][$0] }.path == "/h/.local/state/sluice")
    #expect(throws: ConfigurationError(.noStateDirectory)) { try StateDirectory { _ in nil } }
  }

  @Test func lockFilesNeverShareANameOrLeaveTheFolder() {
    let names = ["a", "a/b", "a%2Fb", "../x", ".", "..", "é", "a b", "A"]
    let files = names.map(JobLock.fileName)
    #expect(Set(files).count == names.count)
    #expect(files.allSatisfy { !$0.contains("/") && !$0.hasPrefix(".") })
    #expect(JobLock.pid(inHolder: "the job a pid 7, pid 1234") == 1234)
    #expect(JobLock.pid(inHolder: "nobody") == nil)
  }
}
