import JobScheduling
import LinuxSystem
import Sluice
import StreamRuns
import Synchronization
import SystemInterfaces

/// A sort of more than fits into the memory it may use.
enum SpillCase {
  /// What datasets may use, against some 150 bytes a pair: at a million pairs a fifth of the data.
  private static func memory(_ keys: Int) -> Int { max(1 << 19, keys * 32) }

  /// Pairs of a number and a line, by the number.
  static func sort(_ input: Input, _ keys: Int) -> Case {
    let lines = input.lines
    return Case(name: "sort with spill", items: keys) { executors in
      let spills = SpillWatch()
      let folder = "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-engine-\(ThisProcess.pid)"
      defer { try? LinuxFileStore().removeTree(folder) }
      var measured = try DriverRun.measure(
        executors: executors,
        blocks: { world in
          BlockStore(
            memory: memory(keys), executors: executors,
            space: try SpillFolder(world.files, in: folder, owner: "\(ThisProcess.pid)"))
        }, listener: spills
      ) { context in
        let sorted = context.parallelize(0..<keys, partitionCount: 4).map {
          (DatasetCases.scrambled($0), lines[$0 % lines.count])
        }.sortByKey()
        return try sorted.aggregate(Places(), { $0.adding($1.0, $1.1) }, { $0.followed(by: $1) }).sum
      }
      let counts = spills.counts
      measured.note =
        "memory limit \(megabytes(memory(keys))) MB; \(counts.records) records spilled, some more than once, "
        + "\(megabytes(counts.bytes)) MB as \(megabytes(counts.diskBytes)) MB on disk; "
        + "the loop sorts in memory, without a limit"
      return measured
    } loop: {
      Measured.timing {
        var pairs = (0..<keys).map { (DatasetCases.scrambled($0), lines[$0 % lines.count]) }
        pairs.sort { $0.0 < $1.0 }
        return pairs.reduce(Places()) { $0.adding($1.0, $1.1) }.sum
      }
    }
  }

  private static func megabytes(_ bytes: Int) -> Int { (bytes + 500_000) / 1_000_000 }
}

/// A sum of elements that depends on their order.
private struct Places: Sendable {
  var count = 0
  var elements = 0
  var sum = 0

  @inline(__always) func adding(_ key: Int, _ line: Bytes) -> Places {
    let element = key &+ line.count
    return Places(count: count + 1, elements: elements &+ element, sum: sum &+ element &* (count + 1))
  }

  func followed(by next: Places) -> Places {
    Places(
      count: count + next.count, elements: elements &+ next.elements,
      sum: sum &+ next.sum &+ next.elements &* count)
  }
}

/// Adds up what jobs spill.
private final class SpillWatch: SchedulerListener {
  private let state = Mutex(SpillCounts())
  var counts: SpillCounts { state.withLock { $0 } }
  func onJobEnd(_ event: JobEndEvent) { state.withLock { $0.add(event.metrics.spills) } }
}
