import Groundwork
import Testing

@testable import Sluice

@Suite struct ConsoleRecordsTests {
  func record(_ line: Bytes, _ properties: [String: String]) throws(ConsoleRecordError) -> ConsoleRecord {
    var reader = try LineRecordReader(properties: properties)
    return try reader.record(line)
  }

  @Test func aLineIsAValue() throws {
    #expect(try record("a\tb", [:]) == ConsoleRecord(value: "a\tb"))
    #expect(try record("", [:]) == ConsoleRecord(value: ""))
  }

  @Test func keysAreCutAtTheFirstSeparator() throws {
    #expect(try record("k,v,w", ["parse.key": "true", "key.separator": ","]) == ConsoleRecord(key: "k", value: "v,w"))
    #expect(try record("k\tv", ["parse.key": "TRUE"]) == ConsoleRecord(key: "k", value: "v"))
    #expect(try record(",", ["parse.key": "true", "key.separator": ","]) == ConsoleRecord(key: "", value: ""))
    #expect(
      try record("a:b::c", ["parse.key": "true", "key.separator": "::"]) == ConsoleRecord(key: "a:b", value: "c"))
    let long = Bytes(String(repeating: "x", count: 100))
    #expect(
      try record(Bytes("\(long),\(long)"), ["parse.key": "true", "key.separator": ","])
        == ConsoleRecord(key: long, value: long))
  }

  @Test func nullsAreMarked() throws {
    let properties = ["parse.key": "true", "key.separator": ",", "null.marker": "NULL"]
    #expect(try record("NULL,NULL", properties) == ConsoleRecord(key: nil, value: nil))
    #expect(try record("a,", properties) == ConsoleRecord(key: "a", value: ""))
  }

  @Test func headersComeFirst() throws {
    let properties = ["parse.headers": "true", "parse.key": "true", "null.marker": "-"]
    #expect(
      try record("a:1,b:-,c:\tk\tv", properties)
        == ConsoleRecord(
          key: "k", value: "v",
          headers: [.init(name: "a", value: "1"), .init(name: "b", value: nil), .init(name: "c", value: "")]))
    #expect(try record("-\tk\tv", properties) == ConsoleRecord(key: "k", value: "v"))
  }

  @Test func aMissingSeparatorNamesTheLine() throws {
    var reader = try LineRecordReader(properties: ["parse.key": "true", "key.separator": ","])
    _ = try reader.record("a,b")
    #expect(throws: ConsoleRecordError(.noSeparator(line: 2, property: "key.separator", separator: ","))) {
      try reader.record("nothing")
    }
    #expect(
      try record("nothing", ["parse.key": "true", "ignore.error": "true"]) == ConsoleRecord(key: nil, value: "nothing"))
  }

  @Test func unknownPropertiesAreNamed() {
    #expect(throws: ConsoleRecordError(.unknownProperty("parse.keys", suggestion: "parse.key"))) {
      try LineRecordReader(properties: ["parse.keys": "true"])
    }
    #expect(throws: ConsoleRecordError(.badProperty("print.key", value: "1", expectation: "is neither true nor false")))
    {
      try RecordLineFormat(properties: ["print.key": "1"])
    }
  }

  func line(_ record: ConsoleRecord, _ properties: [String: String]) throws -> String {
    var writer = ByteWriter()
    try RecordLineFormat(properties: properties)
      .append(record, partition: 3, offset: 42, at: 1_700_000_000_000, .create, to: &writer)
    return String(writer.finish())
  }

  @Test func linesAreKafkas() throws {
    let full = ConsoleRecord(
      key: "k", value: "v", headers: [.init(name: "a", value: "1"), .init(name: "b", value: nil)])
    #expect(try line(full, [:]) == "v\n")
    #expect(try line(full, ["print.key": "true", "key.separator": ","]) == "k,v\n")
    #expect(try line(ConsoleRecord(value: nil), ["print.key": "true"]) == "null\tnull\n")
    #expect(try line(full, ["print.value": "false", "print.key": "true"]) == "k\n")
    #expect(
      try line(
        full,
        [
          "print.timestamp": "true", "print.partition": "true", "print.offset": "true", "print.headers": "true",
          "print.key": "true", "null.literal": "-",
        ])
        == "CreateTime:1700000000000\tPartition:3\tOffset:42\ta:1,b:-\tk\tv\n")
    #expect(try line(ConsoleRecord(value: "v"), ["print.headers": "true"]) == "NO_HEADERS\tv\n")
  }
}
