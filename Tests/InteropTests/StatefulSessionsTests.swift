import Groundwork
import KafkaProtocol
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// The job of sessions as a process, against a plain recomputation.
  @Suite struct Sessions {
    private struct Session: Hashable, CustomStringConvertible {
      var user: String
      var actions = 0
      var first = Int.max
      var last = Int.min
      var description: String { "\(user)=\(actions),\(first),\(last)" }
    }

    /// Lines whose times are out of order, and what they come to.
    private static func phase(_ random: inout SeededRandom, users: Range<Int>) -> (lines: [String], [Session]) {
      var lines: [String] = []
      var sessions = users.map { Session(user: "user\($0)") }
      for _ in 0..<400 {
        let user = Int(random.next() % UInt64(users.count))
        let time = 1_385_848_800_000 + Int(random.next() % 100_000)
        sessions[user].actions += 1
        sessions[user].first = min(sessions[user].first, time)
        sessions[user].last = max(sessions[user].last, time)
        lines.append("\(sessions[user].user),click,\(time)")
      }
      return (lines, sessions.filter { $0.actions > 0 })
    }

    @Test func sessionsAreThoseOfAPlainRecomputation() throws {
      var random = SeededRandom(seed: 7)
      let scratch = try Scratch()
      let broker = try BrokerProcess(in: scratch)
      let client = LiveClient(broker.address)
      try client.createTopics([("actions", 1), ("sessions", 1)])
      let job = try ChildProcess(
        Program.path("StatefulSessions"),
        [
          "--bootstrap-server", "\(broker.address)", "--timeout", "300ms", "--batch-interval", "50ms", "--checkpoint",
          scratch.path + "/checkpoint",
        ], environment: scratch.environment, output: .pipe, error: .pipe)
      let watch = Watchdog(job, 60)
      defer { watch.disarm() }
      var expected: [Session] = []
      // A user of both phases has a session in each: the second phase comes when the first one's are over. The lines of
      // a phase are one record batch, which is in one batch of the job.
      for users in [0..<20, 10..<40] {
        let (lines, sessions) = Self.phase(&random, users: users)
        expected += sessions
        let malformed = ["", "alone", ",nobody,1", "a,b,c", "a,b,1,2"]
        try client.produce(
          (lines + malformed).map { TestRecord(key: nil, value: Bytes($0)) }, to: "actions", codec: .lz4)
        try waitUntil("\(expected.count) sessions are over") {
          try client.readAll("sessions").count >= expected.count || job.exitNow != nil
        }
      }
      // Without a time in the line it is the record's.
      let before = LinuxClock().wallTime.milliseconds
      try client.produce([TestRecord(key: nil, value: "now,click")], to: "actions", codec: .none)
      try waitUntil("the last session is over") {
        try client.readAll("sessions").count > expected.count || job.exitNow != nil
      }
      job.send(.terminate)
      let ended = finish(job)
      #expect(ended.exit == .code(143), "\(ended.report)")

      let written = try client.readAll("sessions").map { record in
        let numbers = String(record.value ?? "").split(separator: ",").compactMap { Int($0) }
        return Session(user: String(record.key ?? ""), actions: numbers[0], first: numbers[1], last: numbers[2])
      }
      let (last, others) = (written.last, written.dropLast())
      #expect(others.sorted { "\($0)" < "\($1)" } == expected.sorted { "\($0)" < "\($1)" })
      #expect(last?.user == "now" && last?.actions == 1 && last?.first == last?.last, "\(String(describing: last))")
      #expect(abs((last?.first ?? 0) - Int(before)) < 60_000, "\(before): \(String(describing: last))")
      let printed = ended.text.split(separator: "\n").filter { $0.contains(" actions from ") }
      #expect(printed.count == expected.count + 1, "\(ended.report)")
      #expect(printed.allSatisfy { $0.contains("Z to 20") })
    }
  }
}
