import Dispatch
import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// Two processes of one job: at one checkpoint or output folder the second stops; where both run after all, since one was
  /// paused on what was taken for another machine, the first writes nothing more that counts.
  @Suite struct SecondInstances {
    /// A broker, a topic `input` that fills up, and processes of one job on machines of their own, by their folders.
    private final class Stage {
      let seed = chosenSeed()
      let scratch = try! Scratch()
      let broker: OwnBroker
      let client: LiveClient
      let producer: PersistentProducer
      private var children: [ChildProcess] = []

      init() throws {
        broker = try OwnBroker(in: scratch)
        client = LiveClient(broker.address)
        try client.createTopics([("input", 1)])
        producer = PersistentProducer(client, topic: "input")
        producer.start()
      }

      deinit {
        for child in children {
          child.send(.kill)
          child.wait()
        }
      }

      /// - Parameters:
      ///   - machine: where it keeps its state, its locks and, unless told otherwise, its checkpoint.
      func start(_ machine: String, _ arguments: [String], checkpoint: String? = nil) throws -> ChildProcess {
        let child = try ChildProcess(
          Program.path("KilledOutputs"),
          [
            "--bootstrap-server", "\(broker.address)", "--name", "pair", "--batch-interval", "20ms", "--checkpoint",
            checkpoint ?? self.checkpoint(machine),
          ] + arguments, environment: ["XDG_STATE_HOME": "\(scratch.path)/\(machine)/state"], output: .null,
          error: .pipe)
        children.append(child)
        return child
      }

      func checkpoint(_ machine: String) -> String { "\(scratch.path)/\(machine)/checkpoint" }

      /// Waits until a process has committed so many times more.
      func waitForBatches(_ count: Int, _ checkpoint: String, _ job: ChildProcess, _ what: String) throws {
        func size() throws -> Int64 {
          let folder = checkpoint + "/commits"
          guard try Scratch.files.attributes(folder) != nil else { return 0 }
          return try Scratch.files.list(folder).reduce(0) {
            $0 + (try Scratch.files.attributes("\(folder)/\($1)")?.size ?? 0)
          }
        }
        var last = try size()
        var left = count
        try waitUntil("\(what) commits batches, seed \(seed)") {
          let now = try size()
          if now != last { left -= 1 }
          last = now
          return left <= 0 || job.exitNow != nil
        }
        if job.exitNow != nil { throw SetupFailure("\(what) has ended: \(finish(job).report)") }
      }
    }

    @Test func atOneCheckpointTheSecondStops() throws {
      let stage = try Stage()
      let first = try stage.start("one", ["--topic", "copy"])
      try stage.waitForBatches(3, stage.checkpoint("one"), first, "the first")
      let second = finish(try stage.start("two", ["--topic", "copy"], checkpoint: stage.checkpoint("one")))
      #expect(second.exit == .code(1), "\(second.report)")
      #expect(
        second.error.contains(
          "the checkpoint folder \(stage.checkpoint("one")) is in use by job pair, pid \(first.pid): stop that first"),
        "\(second.report)")
      try stage.waitForBatches(3, stage.checkpoint("one"), first, "the first, undisturbed,")
      try Self.expectOnce(stage, first, ["--topic", "copy"], "one")
    }

    @Test func atOneOutputFolderTheSecondStops() throws {
      let stage = try Stage()
      let folder = stage.scratch.path + "/out"
      let first = try stage.start("one", ["--files", folder])
      try stage.waitForBatches(3, stage.checkpoint("one"), first, "the first")
      let second = finish(try stage.start("two", ["--files", folder]))
      #expect(second.exit == .code(1), "\(second.report)")
      #expect(
        second.error.contains("\(folder) is being written by job pair (writer epoch 1), pid \(first.pid): stop it"),
        "\(second.report)")
      try stage.waitForBatches(3, stage.checkpoint("one"), first, "the first, undisturbed,")
      try Self.expectOnce(stage, first, ["--files", folder], "one")
    }

    @Test(arguments: [["topic"], ["files"], ["database"], ["topic", "files", "database"]])
    func whoWakesBehindItsSuccessorWritesNothingThatCounts(_ kinds: [String]) throws {
      let stage = try Stage()
      var random = SeededRandom(seed: stage.seed)
      let places = [
        "topic": "copy", "files": stage.scratch.path + "/out", "database": stage.scratch.path + "/lines.db",
      ]
      let arguments = kinds.flatMap { ["--\($0)", places[$0] ?? ""] }
      let first = try stage.start("one", arguments)
      try stage.waitForBatches(3, stage.checkpoint("one"), first, "the first")
      repeat {
        first.send(.continuation)
        // The time of the fault itself, not a wait for anything.
        let moment = DispatchTime.now() + .microseconds(Int(random.next() % 30_000))
        _ = DispatchSemaphore(value: 0).wait(timeout: moment)
        first.send(.stop)
        // Where it was stopped inside a transaction of the database, nobody else could write there.
      } while try kinds.contains("database") && !Self.isFree(places["database"] ?? "")
      // Its successor is started elsewhere, where no lock tells of the first.
      let checkpoint = stage.scratch.path + "/two-checkpoint"
      let copied = try run("cp", ["-r", stage.checkpoint("one"), checkpoint])
      #expect(copied.exit.isSuccess, "\(copied.report)")
      if kinds.contains("files") { try Scratch.files.removeFile((places["files"] ?? "") + "/_sluice/lock") }
      let second = try stage.start("two", arguments, checkpoint: checkpoint)
      try stage.waitForBatches(5, checkpoint, second, "the successor")

      first.send(.continuation)
      let woken = finish(first, within: 40)
      let what = "\(kinds), seed \(stage.seed)"
      #expect(woken.exit == .code(1), "\(what): \(woken.report)")
      #expect(woken.error.contains("taken over"), "\(what): \(woken.report)")
      print("\(what): \(woken.error.split(separator: "\n").last ?? "")")
      try stage.waitForBatches(3, checkpoint, second, "the successor, undisturbed,")
      try Self.expectOnce(stage, second, arguments, "two", checkpoint: checkpoint)
    }

    /// Neither machine knows what the other's checkpoint holds; what decides does.
    @Test(arguments: [["topic"], ["database"], ["topic", "database"]])
    func twoMachinesTakeTheJobFromEachOther(_ kinds: [String]) throws {
      let stage = try Stage()
      let places = ["topic": "copy", "database": stage.scratch.path + "/lines.db"]
      let arguments = kinds.flatMap { ["--\($0)", places[$0] ?? ""] }
      var running = try stage.start("one", arguments)
      try stage.waitForBatches(3, stage.checkpoint("one"), running, "the first")
      for turn in 1...6 {
        let machine = turn % 2 == 0 ? "one" : "two"
        let next = try stage.start(machine, arguments)
        let fenced = finish(running, within: 40)
        #expect(fenced.exit == .code(1), "\(kinds), turn \(turn), seed \(stage.seed): \(fenced.report)")
        #expect(fenced.error.contains("taken over"), "\(kinds), turn \(turn), seed \(stage.seed): \(fenced.report)")
        running = next
        try stage.waitForBatches(3, stage.checkpoint(machine), next, "machine \(machine), turn \(turn),")
      }
      try Self.expectOnce(stage, running, arguments, "one")
    }

    private static func isFree(_ database: String) throws -> Bool {
      try run("sqlite3", [database, "BEGIN IMMEDIATE; ROLLBACK"]).exit.isSuccess
    }

    /// Ends the job, has another process of it do the rest of the input, and looks whether all is there once.
    private static func expectOnce(
      _ stage: Stage, _ job: ChildProcess, _ arguments: [String], _ machine: String, checkpoint: String? = nil
    ) throws {
      job.send(.terminate)
      let ended = finish(job)
      #expect(ended.exit == .code(143), "\(ended.report)")
      let produced = try stage.producer.stop()
      #expect(produced.failures.isEmpty, "\(produced.failures)")
      let last = finish(try stage.start(machine, arguments + ["--available-now"], checkpoint: checkpoint))
      #expect(last.exit == .code(0), "\(last.report)")
      for (flag, place) in zip(arguments, arguments.dropFirst()) {
        let found: [String]
        switch flag {
        case "--topic": found = try Independent.kcat(stage.broker.address, place)
        case "--files": found = try Independent.files(place)
        case "--database": found = try Independent.sqlite(place, "SELECT line FROM lines")
        default: continue
        }
        let difference = missingOrDoubled(found, (0..<produced.acknowledged).map { "\($0)" })
        #expect(difference == nil, "\(flag) of \(arguments), seed \(stage.seed)")
      }
    }
  }
}
