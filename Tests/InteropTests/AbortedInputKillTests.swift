import Dispatch
import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// A job reads what another writes in transactions of 5 ms, three in ten of them aborted; the writer, the job and their
  /// broker are killed at random. What was committed arrives once, what was aborted never.
  @Suite struct AbortedInputKills {
    private static let kills = ThisProcess.environment("SLUICE_LONG") == nil ? 24 : 120

    /// The processes that run.
    private final class Cast {
      let scratch: Scratch
      let broker: BrokerProcess
      var writer: ChildProcess?
      var job: ChildProcess?
      private var life: UInt64

      init(_ scratch: Scratch, _ broker: BrokerProcess, seed: UInt64) {
        self.scratch = scratch
        self.broker = broker
        life = seed % 1_000_000 * 1000
      }

      deinit { for child in [writer, job] { child?.send(.kill); child?.wait() } }

      private func start(_ name: String, _ arguments: [String]) throws -> ChildProcess {
        let log = "\(scratch.path)/\(name).log"
        return try ChildProcess(
          Program.path(name), arguments, environment: scratch.environment, output: .file(log, appending: true),
          error: .file(log, appending: true))
      }

      func startWriter(count: Int) throws -> ChildProcess {
        life += 1
        return try start("AbortedTransactions", ["\(broker.address)", "numbers", "2", "\(life)", "\(count)"])
      }

      func startJob(_ more: [String] = []) throws -> ChildProcess {
        try start(
          "KilledOutputs",
          [
            "--bootstrap-server", "\(broker.address)", "--checkpoint", scratch.path + "/checkpoint", "--batch-interval",
            "10ms", "--input", "numbers", "--topic", "copy",
          ] + more)
      }

      func said(_ name: String) -> String {
        String(((try? Scratch.files.contents(of: "\(scratch.path)/\(name).log")).map { String($0) } ?? "").suffix(1500))
      }
    }

    @Test func committedRecordsArriveOnceAndAbortedOnesNever() throws {
      let seed = chosenSeed()
      var random = SeededRandom(seed: seed)
      let scratch = try Scratch()
      let cast = Cast(scratch, try BrokerProcess(in: scratch, seed: seed), seed: seed)
      try LiveClient(cast.broker.address).createTopics([("numbers", 2)])
      var killed = (writer: 0, job: 0, broker: 0)
      while killed.writer + killed.job + killed.broker < Self.kills {
        // The writer may take the broker's death for a reason to end; the job may not.
        if cast.writer?.exitNow != nil { cast.writer = nil }
        let (writer, job) = (try cast.writer ?? cast.startWriter(count: 1_000_000), try cast.job ?? cast.startJob())
        (cast.writer, cast.job) = (writer, job)
        // The time of the fault itself, not a wait for anything.
        let moment = DispatchTime.now() + .microseconds(Int(random.next() % 400_000))
        _ = DispatchSemaphore(value: 0).wait(timeout: moment)
        if let exit = job.exitNow {
          Issue.record("seed \(seed): the job ended by itself with \(exit): \(cast.said("KilledOutputs"))")
          return
        }
        let victim = random.next() % 8
        if victim <= 2 || victim == 6 {
          writer.send(.kill)
          writer.wait()
          cast.writer = nil
          killed.writer += 1
        }
        if (3...6).contains(victim) {
          job.send(.kill)
          job.wait()
          cast.job = nil
          killed.job += 1
        }
        if victim == 7 {
          try cast.broker.restart()
          killed.broker += 1
        }
      }
      for child in [cast.writer, cast.job] { child?.send(.kill); child?.wait() }
      // The last writer ends what the one before it left open.
      let last = try cast.startWriter(count: 20)
      cast.writer = last
      var watch = Watchdog(last, 60)
      #expect(last.wait() == .code(0), "seed \(seed): \(cast.said("AbortedTransactions"))")
      watch.disarm()
      let drain = try cast.startJob(["--available-now"])
      cast.job = drain
      watch = Watchdog(drain, 60)
      #expect(drain.wait() == .code(0), "seed \(seed): \(cast.said("KilledOutputs"))")
      watch.disarm()

      let broker = cast.broker.address
      let committed = try Independent.confluent(broker, "numbers").map { String($0.dropFirst()) }
      let all = try Independent.kcat(broker, "numbers", committed: false)
      let copied = [
        try Independent.kcat(broker, "copy"), try Independent.confluent(broker, "copy").map { String($0.dropFirst()) },
      ]
      for copy in copied {
        let difference = missingOrDoubled(copy, committed)
        #expect(difference == nil, "seed \(seed)")
      }
      #expect(Set(committed).count == committed.count && committed.allSatisfy { $0.hasSuffix(" kept") }, "seed \(seed)")
      let dropped = all.count { $0.hasSuffix(" dropped") }
      #expect(committed.count > Self.kills * 10, "seed \(seed): \(committed.count) records were committed")
      #expect(dropped * 6 > all.count && dropped * 2 < all.count, "seed \(seed): \(dropped) of \(all.count) aborted")
      print(
        "\(killed.writer) kills of the writer, \(killed.job) of the job, \(killed.broker) of the broker; "
          + "\(all.count) records in, \(committed.count) committed, \(copied[0].count) out")
    }
  }
}
