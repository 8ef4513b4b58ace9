import BenchmarkWorkload
import KafkaProtocol
import LinuxSystem
import Sluice

/// What compression makes of the shapes, and proof that what was encoded decodes to the same.
enum Ratios {
  static func show(different: Int, wordsMax: Int) throws {
    var table = TextTable([
      ("words", .right), ("distribution", .left), ("batch", .right), ("none", .right), ("gzip", .right),
      ("snappy", .right), ("lz4", .right), ("zstd", .right),
    ])
    let shapes = [
      TextShape(), TextShape(distribution: .uniform), TextShape(wordCount: wordsMax),
      TextShape(wordCount: wordsMax, distribution: .uniform),
    ]
    for shape in shapes {
      let lines = Lines(max(1, different / LineGenerator.lineSize), shape)
      for size in [16 << 10, 1 << 20] {
        var cells = ["\(shape.wordCount)", shape.distribution.rawValue, "\(size)"]
        for codec in [CompressionCodec.none, .gzip, .snappy, .lz4, .zstd] {
          let pool = try EncodedPool(lines, recordsPerBatch: EncodedPool.records(inBatchOf: size), codec: codec)
          try check(pool, lines)
          try checkStamps(lines, codec)
          cells.append(HumanText.fixed(pool.ratio, 2))
        }
        table.add(cells)
      }
    }
    TextOutput.standard.write(table.text)
  }

  /// Decodes every batch, stamped with another time, and compares what its records come to.
  private static func check(_ pool: EncodedPool, _ lines: Lines) throws {
    let workspace = CodecWorkspace()
    let time: Timestamp = 1_800_000_000_000
    var next = 0
    for entry in pool.entries {
      var count = 0
      var hash: UInt64 = 0
      var last = Timestamp.none
      try RecordBatch(try entry.batch.stamped(time)).forEachRecord(using: workspace) { record in
        let value = record.value ?? Bytes()
        guard value == lines[next] else { throw WrongRecord(index: next) }
        next += 1
        count += 1
        hash &+= value.fastHash(seed: 0)
        last = record.timestamp
      }
      guard count == entry.tally.records, hash == entry.tally.hash, last == time else { throw WrongRecord(index: next) }
    }
    guard next == lines.count else { throw WrongRecord(index: next) }
    // Every line: ten words, 100 bytes.
    for index in stride(from: 0, to: lines.count, by: 97) {
      let words = lines[index].split(separator: " ")
      guard words.reduce(0, { count, _ in count + 1 }) == LineGenerator.wordsPerLine else {
        throw WrongRecord(index: index)
      }
    }
  }
}

extension Ratios {
  /// Stamped values tell when they were due, and are the lines otherwise.
  fileprivate static func checkStamps(_ lines: Lines, _ codec: CompressionCodec) throws {
    var stamped = StampedLines(lines, codec: codec)
    let workspace = CodecWorkspace()
    var next = 0
    for due in [Instant(nanoseconds: 1), Instant(nanoseconds: 1_234_567_890_123_456_789)] {
      let batch = try stamped.batch(7, intended: due, time: 1_800_000_000_000)
      try RecordBatch(batch).forEachRecord(using: workspace) { record in
        let value = record.value ?? Bytes()
        let line = lines[next % lines.count]
        guard StampedLines.intended(value) == due, value.count == line.count,
          value[StampedLines.digits + 1..<value.count] == line[StampedLines.digits + 1..<line.count]
        else { throw WrongRecord(index: next) }
        next += 1
      }
    }
    guard next == 14 else { throw WrongRecord(index: next) }
  }
}

struct WrongRecord: Error, CustomStringConvertible {
  var index: Int
  var description: String { "record \(index) is not what was encoded" }
}
