import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// Goal: of several instances of one job, paused and revived in every order, what counts is what one instance would have
/// given. Strategy: every order of a few moves (start one more, pause one, revive one) is played; between two moves the
/// world goes on for a while, so that instances stand still at any place of a commit, or until their transaction is over
/// time. Whoever is started takes over, past locks that somebody has removed.
@Suite struct TwinTests {
  enum Move: Hashable, CustomStringConvertible {
    case start
    case pause(Int)
    case revive(Int)
    var description: String {
      switch self {
      case .start: "start"
      case .pause(let index): "pause \(index)"
      case .revive(let index): "revive \(index)"
      }
    }
  }

  /// What instances share beside the transactional id, their topics and the input's group.
  enum Sharing: CaseIterable {
    /// Nothing: each has a copy of the checkpoint of the one before, as it was when it started.
    case nothing
    /// The checkpoint folder.
    case checkpoint
  }

  /// All orders of so many moves after the first start.
  static func orders(_ depth: Int) -> [[Move]] {
    var orders: [[Move]] = []
    func go(_ moves: [Move], _ paused: [Bool]) {
      guard moves.count < depth else { return orders.append(moves) }
      if paused.count < 3 { go(moves + [.start], paused + [false]) }
      for index in paused.indices {
        var next = paused
        next[index].toggle()
        go(moves + [paused[index] ? .revive(index) : .pause(index)], next)
      }
    }
    go([], [false])
    // Without a second instance there is nothing to see.
    return orders.filter { $0.contains(.start) }
  }

  private static let definitions = [
    ExactDefinition([.topic, .files], counted: .topic), ExactDefinition([.topic]),
    ExactDefinition([.topic], counted: .topic),
    ExactDefinition([.table, .files], counted: .table), ExactDefinition([.files], counted: .files),
    ExactDefinition([.table, .otherTable], counted: .otherTable),
  ]

  @Test(arguments: definitions.indices, Sharing.allCases) func oneOfManyCounts(index: Int, sharing: Sharing) throws {
    let orders = Self.orders(5)
    let count = SeedRuns.setting("SLUICE_SEEDS") ?? (ExactRuns.isLong ? 300 : 25)
    var failed = 0
    var refused = 0
    for (number, order) in ExactRuns.spread(orders[...], count, UInt64(index)).enumerated() where failed < 3 {
      let seed = UInt64(SeedRuns.setting("SLUICE_FIRST_SEED") ?? number)
      var definition = Self.definitions[index]
      // Whoever is shut out ends, whatever its failure policy says.
      if number % 3 == 2 { definition.retry() }
      let twins = try Twins(definition, sharing, seed: seed)
      let problems = twins.play(order)
      refused += twins.errors.count
      if !problems.isEmpty {
        failed += 1
        Issue.record("seed \(seed), \(order): \(problems.prefix(4).joined(separator: "; "))\n\(twins.story)")
      }
      twins.end()
    }
    #expect(failed > 0 || refused > count / 8, "\(refused) instances of \(count) worlds were shut out")
  }
}

/// Instances of one job on one machine.
final class Twins {
  private let definition: ExactDefinition
  private let sharing: TwinTests.Sharing
  private let path: PathHarness
  private let disk: SimulatedDisk
  private let database: String
  private var random: SeededRandom
  private var instances: [PathJob] = []
  /// How instances ended that did not end well.
  private(set) var errors: [String] = []

  init(_ definition: ExactDefinition, _ sharing: TwinTests.Sharing, seed: UInt64) throws {
    self.definition = definition
    self.sharing = sharing
    path = try PathHarness(seed: seed)
    random = SeededRandom(seed: seed ^ 0x2714)
    disk = path.simulation.makeDisk(named: "job disk")
    database = try ExactWorld.makeFolder()
  }

  func end() {
    instances = []
    path.simulation.end()
    ExactWorld.removeFolder(database)
  }

  var story: String {
    "\(definition), sharing \(sharing)\ninstances: "
      + instances.map { "\($0.batches.count) batches, \($0.end.first ?? ($0.process.isPaused ? "paused" : "runs"))" }
      .joined(separator: " | ")
      + "\n\(instances.last?.log.suffix(6) ?? [])\n" + path.simulation.report(last: 20)
  }

  func play(_ order: [TwinTests.Move]) -> [String] {
    do {
      try path.createTopic("in", partitions: ExactDefinition.partitions)
      try ExactDefinition.produceInput(path)
      try perform(.start)
      for move in order {
        try goOn()
        try perform(move)
      }
      try goOn()
      return try settle()
    } catch {
      return ["\(error)".split(separator: "\n").prefix(3).joined(separator: " ")]
    }
  }

  /// A few events; or so long that the transaction of who stands still is over time.
  private func goOn() throws {
    if random.next() % 12 == 0 { return try path.simulation.run(for: .seconds(70)) }
    var left = Int(random.next() % 160)
    let limit = path.simulation.now + .seconds(2)
    try path.simulation.run(within: .seconds(3600)) { [path] in
      left -= 1
      return left < 0 || path.simulation.now > limit
    }
  }

  private func checkpoint(_ index: Int) -> String { sharing == .nothing ? "/checkpoint-\(index)" : "/checkpoint" }

  private func perform(_ move: TwinTests.Move) throws {
    switch move {
    case .pause(let index): if instances.indices.contains(index) { instances[index].process.pause() }
    case .revive(let index): if instances.indices.contains(index) { instances[index].process.resume() }
    case .start:
      if sharing == .nothing, let last = instances.last, !last.process.isPaused {
        // What it has decided first is worth a copy.
        let limit = path.simulation.now + .milliseconds(100)
        try path.simulation.run(within: .seconds(3600)) { [path] in
          !last.batches.isEmpty || path.simulation.now > limit
        }
      }
      try start(after: instances.count - 1)
    }
  }

  /// - Parameters:
  ///   - last: whose checkpoint is copied.
  ///   - isForced: whether it is also where that has decided nothing.
  private func start(after last: Int, isForced: Bool = false) throws {
    let files = path.simulation.makeProcess(named: "operator", on: disk).world.files
    if sharing == .nothing, last >= 0 {
      // An empty folder is a new beginning, to which the job is entitled, but not a copy.
      guard try isForced || !records("commits", of: last).isEmpty else { return }
      if try files.attributes(checkpoint(last)) != nil {
        try copy(checkpoint(last), to: checkpoint(instances.count), files)
      }
    }
    for lock in ["\(checkpoint(instances.count))/lock"]
      + ["files", "otherFiles"].flatMap({ folder in
        ["/\(folder)/lines/_sluice/lock", "/\(folder)/counts/_sluice/lock"]
      }) where try files.attributes(lock) != nil
    {
      try files.removeFile(lock)
    }
    let job = try PathJob(
      path, interval: ExactDefinition.interval, settings: definition.allSettings, availableNow: true,
      checkpoint: checkpoint(instances.count), disk: disk
    ) { context in
      definition.define(context, database: database)
      ExactDefinition.keepStateSmall(context)
    }
    instances.append(job)
    try job.start()
  }

  private func records(_ log: String, of index: Int) throws -> [BatchRecord] {
    let files = path.simulation.makeProcess(named: "operator", on: disk).world.files
    return try BatchJournal.records(in: "\(checkpoint(index))/\(log)", files)
  }

  private func copy(_ folder: String, to target: String, _ files: any FileStore) throws {
    try files.createDirectories(target)
    for name in try files.list(folder) where name != "lock" {
      let (from, to) = ("\(folder)/\(name)", "\(target)/\(name)")
      if try files.attributes(from)?.isDirectory == true {
        try copy(from, to: to, files)
      } else {
        try files.open(to, .create).write(at: 0, try files.contents(of: from))
      }
    }
  }

  /// Everybody goes on, until all have ended; then one more instance reads what is left.
  private func settle() throws -> [String] {
    for instance in instances { instance.process.resume() }
    try path.simulation.run(within: .seconds(600)) { [self] in instances.allSatisfy(\.hasEnded) }
    for instance in instances {
      if instance.end != ["ended"] { errors += instance.end }
      instance.process.kill()
    }
    // The operator goes on with the checkpoint that knows most; where it is refused, with the next.
    let known = try instances.indices.map { (index: $0, last: try records("plans", of: $0).last?.batch.number ?? 0) }
    for (index, _) in known.sorted(by: { ($0.last, $0.index) > ($1.last, $1.index) }) {
      try start(after: index, isForced: true)
      try instances[instances.count - 1].runToEnd()
      let end = instances[instances.count - 1].end
      instances[instances.count - 1].process.kill()
      if end == ["ended"] {
        var check = ExactCheck(
          definition, path, disk, database: database, checkpoint: checkpoint(instances.count - 1), isLogWhole: false)
        return try check.run()
      }
      errors += end
      if sharing == .checkpoint { break }
    }
    return ["no instance comes to its end: \(errors)"]
  }
}
