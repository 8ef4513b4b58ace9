import Codecs
import Datasets
import Groundwork
import LinuxSystem
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import FileStreaming

/// Formats and paths: what is written, read back by others.
@Suite struct FormatTests {
  struct Row: Sendable {
    var name: String
    var count: Int
    var share: Double
    var note: Bytes?
    var isLate: Bool
  }
  static let rows = [
    Row(name: "plain", count: 1, share: 0.5, note: "note", isLate: false),
    Row(name: "comma, quote \" and\r\nline", count: -2, share: 1e-9, note: nil, isLate: true),
    Row(name: "", count: 0, share: 0, note: "\"\"", isLate: true),
    Row(name: "ü€🛫\u{1}", count: .max, share: .infinity, note: "a\nb", isLate: false),
  ]
  static let csv = FileFormat<Row>.csv(header: ["name", "count", "the \"share\"", "note", "late"]) { row, fields in
    fields.append(row.name)
    fields.append(row.count)
    fields.append(row.share)
    fields.append(row.note)
    fields.append(row.isLate)
  }
  static let json = FileFormat<Row>.jsonLines { row, object in
    object.set("name", row.name)
    object.set("count", row.count)
    object.set("share", row.share)
    object.set("no\"te", row.note)
    object.set("late", row.isLate)
  }

  private static func text<Element>(_ format: FileFormat<Element>, _ elements: [Element]) throws -> Bytes {
    var writer = ByteWriter()
    writer.append(format.header)
    try elements.withUnsafeBufferPointer { try format.encode($0, &writer) }
    return writer.finish()
  }

  @Test func textAndCSVAndJSONLookAsTheyShould() throws {
    #expect(String(try Self.text(.text, ["a" as Bytes, ""])) == "a\n\n")
    #expect(String(try Self.text(.text, [1, 2])) == "1\n2\n")
    #expect(
      String(try Self.text(Self.csv, [Self.rows[0], Self.rows[1]])) == """
        name,count,"the ""share""\",note,late\r
        plain,1,0.5,note,false\r
        "comma, quote "" and\r\nline",-2,1e-09,,true\r

        """)
    #expect(
      String(try Self.text(Self.json, [Self.rows[3]]))
        == #"{"name":"ü€🛫\u0001","count":9223372036854775807,"share":null,"no\"te":"a\nb","late":false}"# + "\n")
    let semicolons = FileFormat<Int>.csv(separator: ";") { number, row in
      row.append("a;b")
      row.append("a,b")
      row.append(number)
    }
    #expect(String(try Self.text(semicolons, [7])) == "\"a;b\";a,b;7\r\n")
  }

  /// Python's csv and json read what was written and give the same values.
  @Test func readersThatNobodyHereWroteAgree() throws {
    let scratch = try Scratch()
    try scratch.write("rows.csv", try Self.text(Self.csv, Self.rows))
    try scratch.write("rows.json", try Self.text(Self.json, Self.rows))
    let program = """
      json, csv, sys = map(__import__, ('json', 'csv', 'sys'))
      rows = list(csv.reader(open(sys.argv[1] + '/rows.csv', newline='', encoding='utf-8')))
      objects = [json.loads(line) for line in open(sys.argv[1] + '/rows.json', encoding='utf-8')]
      assert rows[0] == ['name', 'count', 'the "share"', 'note', 'late'], rows[0]
      assert len(rows) == len(objects) + 1
      for row, o in zip(rows[1:], objects):
          assert list(o) == ['name', 'count', 'share', 'no"te', 'late'], o
          assert row[0] == o['name'] and int(row[1]) == o['count'], (row, o)
          assert row[3] == (o['no"te'] or ''), (row, o)
          assert row[4] == ('true' if o['late'] else 'false')
          assert o['share'] is None or float(row[2]) == o['share']
      print(len(objects), repr(objects[1]['name']))
      """
    #expect(try scratch.run("python3", ["-c", program, scratch.path]) == "4 'comma, quote \" and\\r\\nline'\n")
  }

  /// Files that grew by several batches, and were cut to a committed length in between, read by the usual tools.
  @Test(
    arguments: [("zcat", [], .gzip), ("zstd", ["-dc"], .zstd), ("lz4", ["-dc"], .lz4)]
      as [(String, [String], CompressionCodec)])
  func theUsualToolsReadCompressedFiles(tool: String, options: [String], codec: CompressionCodec) throws {
    let scratch = try Scratch()
    let rig = FolderRig(
      seed: 1, isDeciding: true, rolling: RollingPolicy(size: 1 << 20, age: .seconds(1000)), codec: codec)
    rig.header = "the header\n"
    try rig.start()
    var expected = "the header\n"
    for number in Int64(1)...6 {
      let lines = (0..<50).map { FolderRig.Line(partition: $0 % 3, directory: "", text: "batch \(number) line \($0)") }
      if number == 4 {
        // Dies with the batch in the file and not decided.
        _ = try rig.prepare(number, lines + lines)
        rig.process.kill()
        rig.restart()
        #expect(try rig.start() == 3)
      }
      try rig.run(number, lines)
      for partition in 0..<3 {
        for line in lines where line.partition == partition { expected += line.text + "\n" }
      }
    }
    rig.sink.end()
    let names = try rig.reader().list("/out").filter { !PathPattern.isHidden($0) }
    #expect(names.count == 1)
    let name = try #require(names.first)
    let content = try rig.reader().contents(of: "/out/\(name)")
    #expect(content.count < expected.utf8.count)
    try scratch.write(name, content)
    #expect(try scratch.run(tool, options + ["\(scratch.path)/\(name)"]) == expected)
  }

  @Test func pathsAreFilledIn() throws {
    struct Record {
      var topic: String
      var time: Timestamp
      var country: Bytes
    }
    func path(_ template: String, zone: ZoneOffset = .utc) -> FilePath<Record> {
      FilePath(
        template, zone: zone, topic: { $0.topic }, partition: { _ in 3 }, time: { $0.time },
        fields: ["country": { $0.country }])
    }
    func folder(_ path: FilePath<Record>, _ record: Record) -> String { path.directory(record, 0) }
    // 2013-01-31T23:30:00Z
    let late = Record(topic: "flights", time: 1_359_675_000_000, country: "NL")
    #expect(folder(path("{topic}/dt={date}/hour={hour}"), late) == "flights/dt=2013-01-31/hour=23")
    let east = try #require(ZoneOffset(text: "+05:30"))
    #expect(folder(path("{year}-{month}/{day}T{hour}{minute}", zone: east), late) == "2013-02/01T0500")
    #expect(folder(path("/c={country}//p-{partition}/"), late) == "c=NL/p-3")
    #expect(folder(path(""), late) == "")
    for (value, text) in [
      ("", "c=__HIVE_DEFAULT_PARTITION__"), ("a/b", "c=a%2Fb"), ("..", "c=.."), ("100%", "c=100%25"), ("é\n", "c=é%0A"),
    ] {
      #expect(folder(path("c={country}"), Record(topic: "", time: 0, country: Bytes(value))) == text)
    }
    for (value, text) in [("..", "%2E."), ("_x", "%5Fx"), (".", "%2E"), ("a.b", "a.b")] {
      #expect(folder(path("{country}/x"), Record(topic: "", time: 0, country: Bytes(value))) == text + "/x")
    }
    // Without a time of its own, an element has its batch's.
    #expect(FilePath<Int>("{date}").directory(nil, 1_359_675_000_000) == "2013-01-31")
    #expect(FilePath<Int>("{date}").key == nil)
    for (template, problem) in [
      (
        "{topic}",
        "the path `{topic}` asks for {topic}, which is not known here: choose of {date}, {day}, {hour}, "
          + "{minute}, {month}, {year}"
      ),
      ("a{date", "the path `a{date` has a { without its }"),
      ("a/_b", "the path `a/_b` has a folder that begins with `_`: readers skip those, choose another name"),
    ] {
      #expect(FilePath<Int>(template).problem == problem)
    }
  }

  /// Two elements have one key where they have one folder, and the other way round.
  @Test func keysTellFoldersApart() {
    struct Record {
      var time: Timestamp
      var a: Bytes
      var b: Bytes
    }
    let path = FilePath<Record>(
      "{a}/{b}/{date}/{hour}", zone: ZoneOffset(minutes: -90), time: { $0.time },
      fields: ["a": { $0.a }, "b": { $0.b }])
    var random = SeededRandom(seed: 9)
    var folders: [Bytes: String] = [:]
    var keys: [String: Bytes] = [:]
    var wrong = 0
    for _ in 0..<2000 {
      func word() -> Bytes { ["", "a", "aa", "ab", "b"][Int(random.next() % 5)] }
      // Around 1970, where times are negative.
      let time = Timestamp(milliseconds: Int64(random.next() % 40_000_000) - 20_000_000)
      let record = Record(time: time, a: word(), b: word())
      var writer = ByteWriter()
      path.key?(record, &writer)
      let key = writer.finish()
      let folder = path.directory(record, 0)
      if folders.updateValue(folder, forKey: key) ?? folder != folder { wrong += 1 }
      if keys.updateValue(key, forKey: folder) ?? key != key { wrong += 1 }
    }
    #expect(wrong == 0)
    #expect(keys.count > 100)
  }

  @Test func sizesAndZonesAreRead() {
    for (text, bytes) in [
      ("1048576", 1 << 20), ("64k", 65_536), ("128MiB", 128 << 20), ("2g", 2 << 30), ("1TB", 1 << 40), ("0", nil),
      ("-1", nil), ("1x", nil), ("", nil), ("9999999999999g", nil),
    ] as [(String, Int64?)] {
      #expect(RollingPolicy.bytes(text: text) == bytes, "\(text)")
    }
    for (text, minutes) in [
      ("UTC", 0), ("z", 0), ("+02:00", 120), ("-0330", -210), ("+2", 120), ("+18:00", 1080), ("+19", nil),
      ("2", nil), ("+1:2", nil), ("Europe/Paris", nil), ("+0a", nil), ("", nil), ("+02:60", nil),
    ] as [(String, Int?)] {
      #expect(ZoneOffset(text: text)?.minutes == minutes, "\(text)")
    }
  }
}

/// A folder of the real disk, and programs of the machine.
final class Scratch {
  let path: String
  private let files = LinuxFileStore()

  init() throws {
    path = "/tmp/sluice-formats-\(ThisProcess.pid)-\(UInt32.random(in: 0 ... .max))"
    try files.createDirectories(path)
  }

  deinit { try? files.removeTree(path) }

  func write(_ name: String, _ content: Bytes) throws {
    try files.open("\(path)/\(name)", .create).write(at: 0, content)
  }

  /// What a program prints; its errors and its exit code where it fails.
  func run(_ program: String, _ arguments: [String]) throws -> String {
    let output = "\(path)/.output"
    let errors = "\(path)/.errors"
    let child = try ChildProcess(program, arguments, output: .file(output), error: .file(errors))
    let exit = child.wait()
    guard exit.isSuccess else { return "\(exit): \(String(try files.contents(of: errors)))" }
    return String(try files.contents(of: output))
  }
}
