import LinuxSystem
import Simulation
import Testing

/// How much happened in a world that breaks, or in many of them.
struct SeedStatistics {
  /// Records of the input.
  var records = 0
  /// Records of an output topic.
  var copies = 0
  /// Decided batches, and those of them that were passed over.
  var batches = 0
  var skipped = 0
  /// Batches that began before the one before them had ended.
  var overlaps = 0
  /// Runs of the job, and how many of them were killed.
  var runs = 0
  var deaths = 0
  /// Connections that faults cut.
  var cuts = 0
  /// Batches that were given to a sink once more.
  var repeats = 0
  /// Records that came too late for their windows.
  var late = 0
  /// Whether totals and windows were compared with those of the whole topic.
  var equalToUndisturbed = 0

  static func += (sum: inout SeedStatistics, other: SeedStatistics) {
    sum.records += other.records
    sum.copies += other.copies
    sum.batches += other.batches
    sum.skipped += other.skipped
    sum.overlaps += other.overlaps
    sum.runs += other.runs
    sum.deaths += other.deaths
    sum.cuts += other.cuts
    sum.repeats += other.repeats
    sum.late += other.late
    sum.equalToUndisturbed += other.equalToUndisturbed
  }
}

/// Worlds that break, seed by seed. `SLUICE_SEEDS` says how many a suite runs, `SLUICE_FIRST_SEED` where they begin;
/// `SLUICE_LONG` asks for four times as many (a world leaves about 60 kB behind: its broker).
enum SeedRuns {
  static func setting(_ name: String) -> Int? { ThisProcess.environment(name).flatMap { Int($0) } }

  /// How many seeds a suite runs.
  /// - Parameter quick: in an optimised build; without optimisation a seed takes ten times as long.
  static func count(_ quick: Int) -> Int {
    if let count = setting("SLUICE_SEEDS") { return count }
    if ThisProcess.environment("SLUICE_LONG") != nil { return quick * 4 }
    return _isDebugAssertConfiguration() ? max(60, quick / 10) : quick
  }

  /// The seeds of one part of four: in parts, the machine's cores share them.
  static func seeds(_ count: Int, part: Int) -> some Sequence<UInt64> {
    let first = setting("SLUICE_FIRST_SEED") ?? 0
    return (first..<first + count).lazy.filter { $0 % 4 == part }.map { UInt64($0) }
  }

  /// Runs seeds until three have failed.
  /// - Returns: what all of them saw together.
  @discardableResult static func hold(
    _ seeds: some Sequence<UInt64>, _ make: (UInt64) throws -> FaultyWorld
  ) throws -> SeedStatistics {
    var failed = 0
    var sum = SeedStatistics()
    for seed in seeds where failed < 3 {
      let world = try make(seed)
      defer { world.path.simulation.end() }
      let problems = world.run()
      sum += world.statistics
      guard !problems.isEmpty else { continue }
      failed += 1
      Issue.record("seed \(seed): \(problems.prefix(4).joined(separator: "; "))\n\(world.story)")
    }
    return sum
  }

  /// A seed is a bug report: the same seed does the same, event for event.
  static func expectRepeats(_ make: () throws -> FaultyWorld) throws {
    func digest() throws -> UInt64 {
      let world = try make()
      defer { world.path.simulation.end() }
      _ = world.run()
      return world.digest
    }
    #expect(try digest() == digest())
  }
}
