import Datasets
import Groundwork
import Synchronization

/// Something that a batch gave differently when it was computed a second time over the same input.
public struct BatchDifference: Sendable, Equatable, CustomStringConvertible {
  /// The output, or the operator whose state it is: `output saveToTopic-1`, `state of 'counted'`.
  public var place: String
  /// The partition of the output's dataset, or of the state.
  public var partition: Int
  /// The first record (of state: the first change) that differs, counted from 0.
  public var firstRecord: Int
  /// Records, or changes, of the first computation and of the second.
  public var counts: [Int]

  /// - Parameters:
  ///   - place: the output, or whose state.
  ///   - partition: of the output's dataset, or of the state.
  ///   - firstRecord: the first that differs, from 0.
  ///   - counts: of the two computations.
  public init(place: String, partition: Int, firstRecord: Int, counts: [Int]) {
    self.place = place
    self.partition = partition
    self.firstRecord = firstRecord
    self.counts = counts
  }

  /// Where, without the advice.
  public var description: String {
    "\(place), partition \(partition), from record \(firstRecord) on ("
      + counts.map { "\($0)" }.joined(separator: " records, then ") + ")"
  }
}

/// How often batches are computed twice to see whether both come to the same.
struct DeterminismCheck: Sendable {
  /// Every so many batches.
  let every: Int64

  /// From the setting `sluice.streaming.checkDeterminism`; nil where nothing is to be checked.
  /// - Throws: `StreamingError.invalidDefinition` for a value that is none.
  init?(setting: (String) -> String?) throws(StreamingError) {
    let key = "sluice.streaming.checkDeterminism"
    switch setting(key) ?? "false" {
    case "false", "0": return nil
    case "true": every = 100
    case let text:
      guard let number = Int64(text), number > 0 else {
        throw .invalidDefinition(
          "\(key): `\(text)` is not known; give the number of batches of which one is computed twice, such as 100, or 0"
        )
      }
      every = number
    }
  }

  /// Whether a batch is computed twice: at its first attempt.
  func isDue(_ info: BatchInfo) -> Bool { info.attempts == 1 && info.number.rawValue % every == 0 }

  /// What a person should do about it.
  static func advice(_ batch: BatchNumber, _ differences: [BatchDifference]) -> String {
    let shown = differences.prefix(3).map(\.description).joined(separator: "; ")
    let more = differences.count > 3 ? "; and \(differences.count - 3) more" : ""
    return
      "batch \(batch) gave something else when it was computed again: \(shown)\(more). A batch that is repeated after a "
      + "failure would not give what it gave before: draw time and randomness from TaskContext (batch.time, nextRandom()), "
      + "and let no order of a Set or Dictionary reach an output"
  }
}

/// What one computation of a batch gave, as numbers: of every output and of every state, by partition.
struct BatchDigest: Sendable, Equatable {
  var parts: [String: [Int: [UInt64]]] = [:]

  /// Where another computation differs; sorted by place and partition.
  func differences(to second: BatchDigest) -> [BatchDifference] {
    var found: [BatchDifference] = []
    for place in Set(parts.keys).union(second.parts.keys).sorted() {
      let (before, after) = (parts[place] ?? [:], second.parts[place] ?? [:])
      for partition in Set(before.keys).union(after.keys).sorted() {
        let (a, b) = (before[partition] ?? [], after[partition] ?? [])
        guard a != b else { continue }
        let first = zip(a, b).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(a.count, b.count)
        found.append(
          BatchDifference(place: place, partition: partition, firstRecord: first, counts: [a.count, b.count]))
      }
    }
    return found
  }
}

/// Takes the numbers of what the tasks of an output hand to their sink.
///
/// Sendable: what it has taken stands under a lock, held for an insertion.
package final class OutputProbe: Sendable {
  private let taken = Mutex<[Int: [UInt64]]>([:])

  /// Has taken nothing.
  init() {}

  /// Takes a partition; of several attempts the first one.
  func take(_ partition: Int, _ records: [UInt64]) {
    taken.withLock { taken in if taken[partition] == nil { taken[partition] = records } }
  }

  var partitions: [Int: [UInt64]] { taken.withLock { $0 } }
}
