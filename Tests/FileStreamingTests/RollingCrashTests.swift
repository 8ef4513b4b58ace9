import Codecs
import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import FileStreaming

/// A process that dies at every call of the disk that changes something, as the decider and behind another's decision:
/// every record is in the files once, in the order of its batches.
@Suite struct RollingCrashTests {
  enum Strike: CaseIterable {
    /// The process dies before the call.
    case death
    /// Half of what is written is there, then it dies.
    case tornDeath
    /// The power goes: of what was not synced, any part.
    case powerLoss
    /// The call fails, and the job is started again by hand.
    case error
    /// The disk is full, for this call.
    case full
  }

  /// Runs the model's batches with one strike at one call, then to the end; starts again after the strike, with other
  /// batches behind the last decided one.
  /// - Returns: nil where the strike never came, else what is wrong, empty where nothing.
  static func run(_ rig: FolderRig, _ model: FolderModel, _ strike: Strike, at target: Int) throws -> [String]? {
    var model = model
    var problems: [String] = []
    var hasStruck = false
    rig.files.hook = { [unowned rig] number, call, path, tear throws(FileError) in
      guard number == target, !hasStruck else { return }
      hasStruck = true
      switch strike {
      case .death: rig.process.kill()
      case .tornDeath:
        tear?()
        rig.process.kill()
      case .powerLoss:
        tear?()
        rig.simulation.losePower()
      case .error: throw FileError(.inputOutput, path: path, operation: call.rawValue)
      case .full:
        tear?()
        throw FileError(.diskFull, path: path, operation: call.rawValue)
      }
    }
    var next: Int64 = 1
    var starts = 0
    while next <= model.batches.count || rig.sink == nil {
      do {
        if rig.sink == nil {
          starts += 1
          guard starts < 6 else { return ["it does not start: \(rig.logged.value.suffix(3))"] }
          next = try rig.start() + 1
          let expected = model.text(through: next - 1)
          let found = try rig.committed()
          if found != expected { problems.append("started after batch \(next - 1) with \(found), not \(expected)") }
          if starts > 1 { model.shrink(from: next) }
          continue
        }
        try rig.run(next, model.batches[Int(next - 1)])
        next += 1
      } catch {
        guard hasStruck else { return ["batch \(next) failed without a reason: \(error)"] }
        // The job stops and is started again, as after a failed batch.
        rig.process.kill()
        rig.restart()
      }
    }
    guard hasStruck else { return nil }
    try rig.endAlive()
    let expected = model.text(through: Int64(model.batches.count))
    let found = try rig.committed()
    if found != expected { problems.append("committed \(found), not \(expected)") }
    let seen = try rig.visible()
    if seen != expected { problems.append("a plain reader sees \(seen), not \(expected)") }
    let verified = try rig.report().verify()
    problems += verified.problems
    return problems
  }

  @Test(arguments: [true, false]) func nothingIsLostOrDoubled(isDeciding: Bool) throws {
    var problems: [String] = []
    var runs = 0
    for strike in Strike.allCases {
      for seed in UInt64(1)...2 {
        let model = FolderModel(seed: seed, batches: 7)
        var target = 1
        while true {
          let rig = FolderRig(seed: seed &+ UInt64(target) << 8, isDeciding: isDeciding)
          guard let found = try Self.run(rig, model, strike, at: target) else { break }
          problems += found.map { "seed \(seed), \(strike) at call \(target): \($0)" }
          runs += 1
          target += 1
        }
      }
    }
    #expect(problems.isEmpty, "\(problems.count) of \(runs) runs: \(problems.prefix(3).joined(separator: "\n"))")
    #expect(runs > 500)
  }

  /// As above, compressed, with several strikes in one life, and starts that are struck as well.
  @Test(arguments: [true, false]) func manyCrashesInARow(isDeciding: Bool) throws {
    var problems: [String] = []
    for seed in UInt64(100)..<160 {
      var random = SeededRandom(seed: seed)
      var model = FolderModel(seed: seed, batches: 20)
      let codec = [CompressionCodec.none, .gzip, .zstd, .lz4][Int(seed % 4)]
      let rig = FolderRig(seed: seed, isDeciding: isDeciding, codec: codec)
      rig.limits = FolderManifest.Limits(bytes: 1500, placedFiles: 3)
      rig.rolling.openFilesMax = 2
      func arm() {
        let target = rig.files.count + 1 + Int(random.next() % 60)
        let isPowerLoss = random.next() % 3 == 0
        rig.files.hook = { [unowned rig] number, _, _, tear throws(FileError) in
          guard number == target else { return }
          tear?()
          if isPowerLoss { rig.simulation.losePower() } else { rig.process.kill() }
        }
      }
      var next: Int64 = 1
      var crashes = 0
      arm()
      while next <= model.batches.count || rig.sink == nil {
        do {
          if rig.sink == nil {
            next = try rig.start() + 1
            let found = try rig.committed()
            if found != model.text(through: next - 1) {
              problems.append("seed \(seed): started after batch \(next - 1) with \(found)")
            }
            if seed % 2 == 0, crashes > 0 { model.shrink(from: next) }
            continue
          }
          try rig.run(next, model.batches[Int(next - 1)])
          next += 1
        } catch {
          guard !rig.process.isAlive else {
            problems.append("seed \(seed): batch \(next) failed: \(error)")
            break
          }
          rig.restart()
          crashes += 1
          if crashes < 12 { arm() }
        }
      }
      guard rig.sink != nil else { continue }
      try rig.endAlive()
      let expected = model.text(through: Int64(model.batches.count))
      let seen = try rig.visible()
      if seen != expected { problems.append("seed \(seed): a reader sees \(seen), not \(expected)") }
      problems += try rig.report().verify().problems.map { "seed \(seed): \($0)" }
    }
    #expect(problems.isEmpty, "\(problems.count): \(problems.prefix(3).joined(separator: "\n"))")
  }

  /// What is decided elsewhere and was only prepared here is brought forward; what is not, is gone.
  @Test func aPreparedBatchFollowsTheDecision() throws {
    for isDecided in [true, false] {
      let rig = FolderRig(seed: 3, isDeciding: false)
      let model = FolderModel(seed: 4, batches: 3)
      try rig.start()
      for number in Int64(1)...2 { try rig.run(number, model.batches[Int(number - 1)]) }
      _ = try rig.prepare(3, [.init(partition: 0, directory: "a", text: "the last")])
      rig.process.kill()
      let before = rig.decided
      rig.restart()
      if isDecided { rig.setDecided(3) }
      let last = try rig.start()
      #expect(last == (isDecided ? 3 : before))
      var expected = model.text(through: 2)
      if isDecided { expected["a", default: ""] += "the last\n" }
      #expect(try rig.committed() == expected)
      // Asked again, nothing changes.
      try rig.answer { rig.sink.recover(through: BatchNumber(last), then: $0) }
      #expect(try rig.committed() == expected)
    }
  }

  @Test func aDiskThatIsFullLosesNothing() throws {
    let rig = FolderRig(seed: 5, isDeciding: true, rolling: RollingPolicy(size: 1 << 20, age: .seconds(100)))
    try rig.start()
    let line = FolderRig.Line(partition: 0, directory: "a", text: String(repeating: "y", count: 1000))
    try rig.run(1, [line])
    rig.simulation.disk.capacity = rig.simulation.disk.usedBytes + 2500
    var failures: [String] = []
    var next: Int64 = 2
    while failures.isEmpty {
      do {
        try rig.run(next, [line])
        next += 1
      } catch {
        failures.append("\(error)")
      }
    }
    #expect(next > 2)
    #expect(failures.first?.contains("the disk is full: free some space") == true, "\(failures)")
    rig.simulation.disk.capacity = nil
    for number in next...next + 2 { try rig.run(number, [line]) }
    let expected = String(repeating: line.text + "\n", count: Int(next + 2))
    #expect(try rig.committed() == ["a": expected])
    #expect(try rig.report().verify().problems == [])
  }

  @Test func aFailedBatchLeavesNothing() throws {
    for isDeciding in [true, false] {
      let rig = FolderRig(seed: 6, isDeciding: isDeciding)
      try rig.start()
      try rig.run(1, [.init(partition: 0, directory: "a", text: "one")])
      let prepared = try rig.prepare(
        2, [.init(partition: 0, directory: "a", text: "gone"), .init(partition: 1, directory: "new", text: "gone")])
      #expect(throws: FileStreamingError.self) {
        _ = try rig.prepare(3, [.init(partition: 0, directory: "a", text: "x")])
      }
      rig.sink.abort(prepared)
      rig.sink.abort(prepared)
      try rig.run(2, [.init(partition: 0, directory: "a", text: "two")])
      rig.sink.end()
      #expect(try rig.visible() == ["a": "one\ntwo\n"])
      let names = try rig.reader().list("/out/new")
      #expect(names.isEmpty, "\(names)")
      #expect(rig.logged.value.isEmpty, "\(rig.logged.value)")
    }
  }

  /// A decision whose entry cannot be written did not happen, and leaves nothing; one that cannot be synced is for the
  /// next start to find out.
  @Test func aDecisionFailsForCertainOrNot() throws {
    let line = FolderRig.Line(partition: 0, directory: "", text: "one")
    for (fault, text) in [(DiskFault.Operation.write, "aborted"), (.sync, "unknown")] {
      let rig = FolderRig(seed: 7, isDeciding: true)
      try rig.start()
      let prepared = try rig.prepare(1, [line])
      rig.simulation.disk.inject(DiskFault(fault, pathContains: "manifest", code: .diskFull, isTorn: true))
      let error = #expect(throws: FolderRig.Failed.self) {
        try rig.decide(Decision(batch: 1, record: "record 1"), [prepared])
      }
      #expect(error?.description.hasPrefix(text) == true, "\(error?.description ?? "")")
      if fault == .write {
        #expect(try rig.report().committed == [])
        try rig.run(1, [line])
        #expect(try rig.committed() == ["": "one\n"])
      } else {
        #expect(throws: (any Error).self) { try rig.run(2, [line]) }
        rig.process.kill()
        rig.restart()
        // The process died, not the machine: the entry is there, and so is the batch.
        #expect(try rig.start() == 1)
        #expect(try rig.committed() == ["": "one\n"])
      }
    }
  }

  /// A batch that another decides is tried again by the same run after its preparation could not be synced, or a torn
  /// write not be taken back: what the manifest's end held then does not matter any more.
  @Test(arguments: [[DiskFault.Operation.sync], [.write, .truncate]])
  func aManifestIsWholeAgainForTheNextAttempt(faults: [DiskFault.Operation]) throws {
    for isKnown in [true, false] {
      let rig = FolderRig(seed: 9, isDeciding: false)
      try rig.start()
      if isKnown { try rig.run(1, [.init(partition: 0, directory: "a", text: "one")]) }
      let lines = [
        FolderRig.Line(partition: 0, directory: "a", text: "two"), .init(partition: 1, directory: "b/c", text: "2"),
      ]
      for fault in faults {
        // The first writes tell of the files that are about to be made.
        let after = fault == .write ? (isKnown ? 1 : 2) : 0
        rig.simulation.disk.inject(
          DiskFault(fault, after: after, pathContains: "manifest", code: .inputOutput, isTorn: true))
      }
      #expect(throws: (any Error).self) { _ = try rig.prepare(2, lines) }
      #expect(rig.simulation.disk.pendingFaults == 0)
      try rig.run(2, lines)
      try rig.run(3, [.init(partition: 0, directory: "a", text: "three")])
      rig.process.kill()
      rig.restart()
      try rig.start()
      rig.sink.end()
      #expect(try rig.visible() == ["a": "\(isKnown ? "one\n" : "")two\nthree\n", "b/c": "2\n"])
      #expect(try rig.report().verify().problems == [])
      #expect(try rig.report().verify().notes == [])
    }
  }

  /// What fails beside the batches, while files are closed that are old enough, is no reason to doubt the next decision.
  @Test(arguments: [true, false]) func aManifestIsWholeAgainForTheNextDecision(hasOutput: Bool) throws {
    let rig = FolderRig(seed: 10, isDeciding: true, rolling: RollingPolicy(size: 1 << 20, age: .seconds(3)))
    rig.limits = FolderManifest.Limits()
    try rig.start()
    try rig.run(1, [.init(partition: 0, directory: "a", text: "one")])
    let prepared = hasOutput ? [try rig.prepare(2, [.init(partition: 0, directory: "b/c", text: "two")])] : []
    rig.simulation.disk.inject(DiskFault(.sync, pathContains: "manifest", code: .inputOutput))
    rig.sink.batchCompleted(at: rig.identity(8).time)
    #expect(rig.simulation.disk.pendingFaults == 0 && rig.logged.value.count == 1, "\(rig.logged.value)")
    try rig.decide(Decision(batch: 2, record: "record 2"), prepared)
    rig.process.kill()
    rig.restart()
    #expect(try rig.start() == 2)
    rig.sink.end()
    #expect(try rig.visible() == (hasOutput ? ["a": "one\n", "b/c": "two\n"] : ["a": "one\n"]))
    #expect(try rig.report().verify().problems == [])
  }

  /// A batch without output for the folder is decided there all the same, where it is asked to.
  @Test func aBatchWithoutOutputCanBeDecided() throws {
    let rig = FolderRig(seed: 7, isDeciding: true)
    try rig.start()
    try rig.decide(Decision(batch: 2, record: "record 2"), [])
    rig.process.kill()
    rig.restart()
    #expect(try rig.start() == 2)
  }
}
