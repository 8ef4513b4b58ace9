import Datasets
import Glibc
import Groundwork
import SQLStreaming
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// Jobs that save to a database, killed at random moments: as the decider, and after the commit log's decision.
@Suite struct SQLiteJobTests {
  private func job(
    _ simulation: SimulatedWorld, _ log: TestLog<Int>, _ path: String, guarantee: String
  ) throws -> (harness: StreamHarness, process: SimulatedProcess) {
    let process = simulation.makeProcess(named: "job", executors: 2)
    let harness = try StreamHarness(
      interval: .milliseconds(100), checkpoint: "/checkpoint", process: process, simulation: simulation,
      settings: ["sluice.streaming.guarantee": guarantee])
    let stream = log.stream(harness.context, limit: 5)
    stream.saveToSQLite(path, table: "elements", columns: [SQLColumn("element", .integer)]) { element, row in
      row.append(element)
    }
    let spec = StateSpec.function { (key: Int, value: Int?, state: State<Int>) -> (Int, Int) in
      let count = (state.get() ?? 0) + 1
      state.update(count)
      return (key, count)
    }
    stream.map { ($0 % 5, $0) }.mapWithState(spec).named("counts").saveToSQLite(
      path, table: "counts", columns: [SQLColumn("key", .integer, isKey: true), SQLColumn("count", .integer)]
    ) { count, row in
      row.append(count.0)
      row.append(count.1)
    }
    return (harness, process)
  }

  @Test(arguments: ["exactly-once", "at-least-once"]) func killedAnywhereTheTablesAreRight(guarantee: String) throws {
    var failures: [String] = []
    let folder = "/tmp/sluice-sqlite-jobs-\(getpid())-\(guarantee)"
    mkdir(folder, 0o755)
    defer { for name in ["", "-wal", "-shm"] { unlink("\(folder)/job.db\(name)") }; rmdir(folder) }
    for seed in 0..<25 as Range<UInt64> {
      for name in ["", "-wal", "-shm"] { unlink("\(folder)/job.db\(name)") }
      let path = "\(folder)/job.db"
      let simulation = SimulatedWorld(seed: seed)
      var random = SeededRandom(seed: seed ^ 0x501)
      let log = TestLog<Int>(partitions: 3)
      var produced = 0
      for _ in 0..<5 {
        let (harness, process) = try job(simulation, log, path, guarantee: guarantee)
        try harness.start()
        for _ in 0..<Int(random.next() % 5) {
          for _ in 0..<Int(random.next() % 6) {
            log.append([produced], to: Int(random.next() % 3))
            produced += 1
          }
          try simulation.run(for: .microseconds(Int64(random.next() % 150_000)))
        }
        process.kill()
      }
      let (harness, _) = try job(simulation, log, path, guarantee: guarantee)
      try harness.start()
      try harness.advance(produced / 5 + 3)
      let rows = try SQLiteReader(path)
      let elements = try rows.integers("SELECT element FROM elements ORDER BY element")
      if elements != Array(0..<produced) { failures.append("seed \(seed): \(elements) of \(produced)") }
      let counts = try rows.integers("SELECT key * 1000 + count FROM counts ORDER BY key")
      let expected = (0..<5).compactMap { key in
        let count = (produced + 4 - key) / 5
        return count > 0 ? key * 1000 + count : nil
      }
      if counts != expected { failures.append("seed \(seed): counts \(counts), not \(expected)") }
      try harness.stop()
      if harness.end != ["ended"] { failures.append("seed \(seed): \(harness.end)") }
    }
    #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(3))")
  }

  /// Another reader of the database, beside the job's own connection.
  private struct SQLiteReader {
    let path: String
    init(_ path: String) throws { self.path = path }
    func integers(_ sql: String) throws -> [Int] {
      guard let pipe = popen("sqlite3 '\(path)' '\(sql)'", "r") else { return [] }
      defer { pclose(pipe) }
      var result: [Int] = []
      var line = [CChar](repeating: 0, count: 64)
      while fgets(&line, Int32(line.count), pipe) != nil {
        result.append(atol(line))
      }
      return result
    }
  }
}
