import Datasets
import Groundwork
import Simulation
import SystemInterfaces

@testable import Streaming

// Outputs that keep no batch numbers: a topic and files. Each batch that was decided is there whole, at least once; more
// often only where it ran again; and nothing is there that no batch has given.
extension OracleCheck {
  /// What one attempt at a batch gives: a list for each range that has records.
  private func parts(_ ranges: [OffsetRange], _ batch: BatchIdentity) -> [[String]] {
    ranges.map { range in read(range).map { "\(batch.time.milliseconds) \($0)" } }.filter { !$0.isEmpty }
  }

  mutating func checkCopies() throws {
    let begun = path.listener.begun.map { parts($0.ranges, $0.batch) }.filter { !$0.isEmpty }
    let decided = checkpoint.decided.map { (record: $0, parts: parts($0.ranges, $0.batch)) }
    if path.definition.writesTopic {
      // A task's records are one record batch.
      let found = try path.path.readBatches("out").map { rows in rows.map { $0.value ?? "" } }
      path.statistics.copies = found.reduce(0) { $0 + $1.count }
      let pieces = decided.flatMap { entry in entry.parts.map { (record: entry.record, piece: $0) } }
      check("the topic", found: found, given: begun.flatMap { $0 }, decided: pieces)
      if path.definition.isExactlyOnce {
        let once = pieces.filter { $0.record.outcome == .committed }.map(\.piece)
        var surplus: [[String]: Int] = [:]
        for piece in found { surplus[piece, default: 0] += 1 }
        for piece in once { surplus[piece, default: 0] -= 1 }
        for (piece, count) in surplus.filter({ $0.value != 0 }).sorted(by: { $0.key.lexicographicallyPrecedes($1.key) })
        {
          problems.append("the topic has \(count > 0 ? "\(count) too many" : "\(-count) too few") of \(piece)")
        }
      }
    }
    if path.definition.writesFiles {
      let files = path.path.simulation.makeProcess(named: "reader", on: path.jobDisk).world.files
      let folders = try WholeFolder.all(below: "/out", files)
      problems += folders.flatMap(\.flaws)
      check(
        "the files", found: folders.map { folder in folder.parts.sorted { $0.key < $1.key }.map(\.value) },
        given: begun,
        decided: decided.filter { !$0.parts.isEmpty }.map { (record: $0.record, piece: $0.parts) })
    }
  }

  /// Compares pieces of an output, each of which is written whole or not at all, with the pieces of batches.
  private mutating func check<Piece: Hashable>(
    _ what: String, found: [Piece], given: [Piece], decided: [(record: BatchRecord, piece: Piece)]
  ) {
    let given = Dictionary(given.map { ($0, 1) }, uniquingKeysWith: +)
    let found = Dictionary(found.map { ($0, 1) }, uniquingKeysWith: +)
    for (piece, count) in found where count > given[piece] ?? 0 {
      problems.append("\(what): \(piece) is there \(count) times, and was begun \(given[piece] ?? 0) times")
    }
    for (record, piece) in decided {
      switch record.outcome {
      case .skipped:
        if found[piece] != nil, !mayShow(record.batch) {
          problems.append("\(what): batch \(record.batch) was skipped and is there")
        }
      default:
        if found[piece] == nil { problems.append("\(what): batch \(record.batch) is missing: \(piece)") }
      }
    }
  }
}
