import Codecs
import Datasets
import Groundwork
import SystemInterfaces
import Testing

@testable import FileStreaming

/// Text files as datasets.
@Suite struct TextFileTests {
  /// The lines of a text, by the rule of `textFile`, the slow way.
  private func model(_ text: [UInt8]) -> [String] {
    var lines: [[UInt8]] = [[]]
    for byte in text {
      if byte == 10 { lines.append([]) } else { lines[lines.count - 1].append(byte) }
    }
    if lines.last!.isEmpty { lines.removeLast() }
    return lines.map { line in String(decoding: line.last == 13 ? line.dropLast() : line[...], as: UTF8.self) }
  }

  /// A text of a few lines, with everything that makes cutting hard.
  private func text(_ random: inout SeededRandom) -> [UInt8] {
    var text: [UInt8] = []
    let pieces = ["", "a", "häß", "日本語", "🙂", "long line that goes on", "\r", "x\ry"]
    for _ in 0..<Int(random.next() % 12) {
      text += Array(pieces[Int(random.next() % UInt64(pieces.count))].utf8)
      text += random.next() % 3 == 0 ? [13, 10] : [10]
    }
    if random.next() % 2 == 0 { text += Array(pieces[Int(random.next() % UInt64(pieces.count))].utf8) }
    return text
  }

  @Test func everyWayOfCuttingGivesTheSameLines() throws {
    var wrong: [String] = []
    for seed in UInt64(1)...60 {
      var random = SeededRandom(seed: seed)
      let text = text(&random)
      let desk = Desk(seed: seed, mode: .atOnce)
      try desk.put("/in/a.txt", Bytes(text))
      let expected = model(text)
      let count = text.count
      let found = try desk.run { context in
        try (1...max(1, count + 2)).map { parts in
          try context.textFile("/in/a.txt", minPartitions: parts).collect().map { String($0) }
        }
      }
      for (index, lines) in found.enumerated() where lines != expected {
        wrong.append("seed \(seed), \(index + 1) parts of \(text): \(lines), not \(expected)")
      }
    }
    #expect(wrong == [])
  }

  /// Lines around the size of what is read at a time.
  @Test func longLinesAreWhole() throws {
    let piece = Int(LineReading.pieceSize)
    let sizes = [piece - 1, 3, piece, piece + 1, 0, 2 * piece + 7, 1]
    var text: [UInt8] = []
    for (index, size) in sizes.enumerated() {
      text += [UInt8](repeating: UInt8(97 + index), count: size) + [10]
    }
    let desk = Desk()
    try desk.put("/in/a.txt", Bytes(text))
    for parts in [1, 2, 5] {
      let lines = try desk.run { try $0.textFile("/in/a.txt", minPartitions: parts).map { $0.count }.collect() }
      #expect(lines == sizes)
    }
  }

  @Test(arguments: [CompressionCodec.gzip, .zstd, .lz4]) func compressedFilesAreReadByTheirEnding(
    _ codec: CompressionCodec
  ) throws {
    let text = (0..<40_000).map { "line \($0)\r\n" }.joined() + "last"
    let desk = Desk()
    let ending = try FileCompression.ending(codec)
    try desk.put("/in/one" + ending, compressed(Bytes(text), codec))
    try desk.put("/in/three" + ending, compressed(Bytes(text), codec, pieces: 3))
    try desk.put("/in/empty" + ending, Bytes())
    let found = try desk.run { context in
      let dataset = try context.textFile("/in", minPartitions: 20)
      return (dataset.partitionCount, try dataset.glom().collect().map { $0.map { String($0) } })
    }
    let expected = (0..<40_000).map { "line \($0)" } + ["last"]
    #expect(found.0 == 3)
    #expect(found.1 == [[], expected, expected])
  }

  @Test func aFolderIsItsVisibleFiles() throws {
    let desk = Desk()
    for (name, text) in [("b", "2\n"), ("a", "1\n"), ("_SUCCESS", "no\n"), (".c", "no\n"), ("c", "")] {
      try desk.put("/in/\(name)", text)
    }
    let lines = try desk.run { try $0.textFile("/in").collect().map { String($0) } }
    #expect(lines == ["1", "2"])
    try desk.put("/in/deeper/d", "4\n")
    #expect(throws: FileStreamingError.folderInFolder("/in/deeper")) { try desk.run { try $0.textFile("/in").count() } }
  }

  @Test func patternsNameFiles() throws {
    let desk = Desk()
    for name in ["2013-01/a.txt", "2013-01/b.log", "2013-02/a.txt", "2014-01/a.txt", "2013-03/_x.txt"] {
      try desk.put("/logs/\(name)", "\(name)\n")
    }
    func names(_ pattern: String) throws -> [String] {
      try desk.run { try $0.textFile(pattern).collect().map { String($0) } }
    }
    #expect(try names("/logs/2013-*/*.txt") == ["2013-01/a.txt", "2013-02/a.txt"])
    #expect(try names("/logs/201[4-9]-0?/*") == ["2014-01/a.txt"])
    #expect(try names("/logs/{2013-01,2014-01}") == ["2013-01/a.txt", "2013-01/b.log", "2014-01/a.txt"])
    #expect(try names("/logs/2013-03/_x.txt") == ["2013-03/_x.txt"])
    #expect(throws: FileStreamingError.noInput("/logs/2013-03/*.txt")) { try names("/logs/2013-03/*.txt") }
    #expect(throws: FileStreamingError.noInput("/none")) { try names("/none") }
  }

  @Test func aFileThatShrankIsAnError() throws {
    let desk = Desk()
    try desk.put("/in/a", "one\ntwo\n")
    let files = desk.files
    let error = #expect(throws: (any Error).self) {
      try desk.run { context in
        let lines = try context.textFile("/in/a")
        try files.open("/in/a", .readWrite).truncate(to: 3)
        return try lines.count()
      }
    }
    #expect("\(error!)".contains("/in/a was cut or removed while it was in use"), "\(error!)")
  }

  @Test func whatIsAppendedLaterIsNotRead() throws {
    let desk = Desk()
    try desk.put("/in/a", "one\ntwo")
    let files = desk.files
    let lines = try desk.run { context in
      let lines = try context.textFile("/in/a")
      try files.open("/in/a", .readWrite).write(at: 7, "\nthree\n")
      return try lines.collect().map { String($0) }
    }
    #expect(lines == ["one", "two"])
  }

  @Test func wholeFiles() throws {
    let desk = Desk()
    for number in 0..<10 { try desk.put("/in/f\(number).txt", String(repeating: "\(number)", count: number)) }
    try desk.put("/in/g.gz", compressed("zipped", .gzip))
    let raw = try desk.files.contents(of: "/in/g.gz")
    let found = try desk.run { context in
      let texts = try context.wholeTextFiles("/in", minPartitions: 3)
      let binary = try context.binaryFiles("/in", minPartitions: 3)
      return (
        texts.partitionCount, try texts.collect().map { "\($0.0)=\($0.1)" },
        try binary.collect().last!.1
      )
    }
    #expect((2...4).contains(found.0), "\(found.0) partitions")
    #expect(
      found.1 == (0..<10).map { "/in/f\($0).txt=" + String(repeating: "\($0)", count: $0) } + ["/in/g.gz=zipped"])
    #expect(found.2 == raw)
  }

  @Test func recordsOfOneLength() throws {
    let desk = Desk()
    let records = (0..<100).map { Bytes("r\(100 + $0);") }
    try desk.put("/in/a", Bytes(records.flatMap { $0 }))
    for parts in [1, 2, 7, 100, 1000] {
      let found = try desk.run { try $0.binaryRecords("/in/a", recordLength: 5, minPartitions: parts).collect() }
      #expect(found == records, "\(parts) parts")
    }
    #expect(throws: FileStreamingError.unevenLength(path: "/in/a", size: 500, recordLength: 7)) {
      try desk.run { try $0.binaryRecords("/in/a", recordLength: 7).count() }
    }
    #expect(throws: FileStreamingError.invalidRecordLength(0)) {
      try desk.run { try $0.binaryRecords("/in/a", recordLength: 0).count() }
    }
  }

  @Test func splitsAreCutAsHadoopCutsThem() {
    func sizes(_ files: [Int64], _ minCount: Int, max: Int64 = 100) -> [[Int64]] {
      let inputs = files.map { InputFile(path: "\($0)", size: $0, modified: 0) }
      return FileSplit.cut(inputs, minCount: minCount, sizeMax: max) { $0.size != 77 }
        .map { [$0.range.lowerBound, $0.range.upperBound] }
    }
    #expect(sizes([10], 3) == [[0, 3], [3, 6], [6, 9], [9, 10]])
    #expect(sizes([110], 1) == [[0, 110]])
    #expect(sizes([111], 1) == [[0, 100], [100, 111]])
    #expect(sizes([0, 5], 1) == [[0, 0], [0, 5]])
    #expect(sizes([77, 77], 30) == [[0, 77], [0, 77]])
    #expect(sizes([300], 2) == [[0, 100], [100, 200], [200, 300]])
  }
}
