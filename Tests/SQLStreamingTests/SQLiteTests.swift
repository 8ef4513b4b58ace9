import Datasets
import Glibc
import Groundwork
import LinuxSystem
import Simulation
import Streaming
import Synchronization
import SystemInterfaces
import Testing

@testable import SQLStreaming

/// Databases as files of their own; what is in them is read back by the sqlite3 command.
@Suite struct SQLiteTests {
  /// A folder that goes when the test ends.
  private final class Folder {
    let path = "/tmp/sluice-sqlite-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    init() throws { try LinuxFileStore().createDirectories(path) }
    deinit { try? LinuxFileStore().removeTree(path) }
  }

  /// A process's sinks, on virtual time.
  private final class Process {
    let simulation = SimulatedWorld(seed: 1)
    let database: SQLiteDatabase
    init(_ path: String) {
      let process = simulation.makeProcess(named: "job")
      database = SQLiteDatabase(
        path, helper: HelperLoop(named: "sqlite", runner: process.runner), driver: process.makeLoop(named: "driver"))
    }

    /// Runs a step to its answer.
    func answer<Answer: Sendable>(_ step: (@escaping @Sendable (Answer) -> Void) -> Void) throws -> Answer {
      let answer = Mutex<Answer?>(nil)
      step { value in answer.withLock { $0 = value } }
      try simulation.run { answer.withLock { $0 != nil } }
      return try #require(answer.withLock { $0 })
    }

    func succeed(_ step: (@escaping @Sendable ((any Error)?) -> Void) -> Void) throws {
      let result: Result<Bool, any Error> = try answer { then in
        step { then($0.map { .failure($0) } ?? .success(true)) }
      }
      _ = try result.get()
    }

    func sink(_ table: SQLTable, isDeciding: Bool, job: String = "job") throws -> SQLiteSink {
      let sink = SQLiteSink(table, database) { _ in }
      try succeed { sink.open(SinkOpening(job: job, isDeciding: isDeciding), then: $0) }
      return sink
    }

    func prepare(_ sink: SQLiteSink, batch: Int64, _ rows: [(String, Int)]) throws -> any PreparedOutput {
      var row = SQLRow()
      for (name, count) in rows {
        row.append(name)
        row.append(count)
      }
      let output = TaskOutput(records: rows.count, bytes: 0, payload: row.finish())
      let identity = BatchIdentity(number: BatchNumber(batch), time: Timestamp(milliseconds: batch))
      return try answer { then in sink.prepare(identity, [output]) { then($0) } }.get()
    }

    func decide(_ prepared: [any PreparedOutput], batch: Int64) throws -> String {
      let outcome: DecisionOutcome = try answer { then in
        database.decide(Decision(batch: BatchNumber(batch), record: Bytes("record \(batch)")), prepared) { then($0) }
      }
      return "\(outcome)"
    }
  }

  private let totals: SQLTable
  init() throws {
    totals = try SQLTable("totals", [SQLColumn("name", .text, isKey: true), SQLColumn("count", .integer)])
  }

  private func query(_ path: String, _ sql: String) throws -> String {
    let run = try ChildProcess.run("sqlite3", [path, sql])
    #expect(run.exit == .code(0), "\(run.error)")
    return run.output
  }

  @Test func statementsQuoteNames() throws {
    let table = try SQLTable(
      "my \"table\"", [SQLColumn("a", .integer, isKey: true), SQLColumn("b c", .blob), SQLColumn("d", .real)])
    #expect(
      table.creation
        == #"CREATE TABLE IF NOT EXISTS "my ""table""" ("a" INTEGER NOT NULL, "b c" BLOB, "d" REAL, PRIMARY KEY ("a"))"#
    )
    #expect(
      table.insertion
        == #"INSERT INTO "my ""table""" ("a", "b c", "d") VALUES (?1, ?2, ?3) ON CONFLICT ("a") DO "#
        + #"UPDATE SET "b c" = excluded."b c", "d" = excluded."d""#)
    #expect(throws: SQLStreamingError.invalidTable("sluice_jobs", "names that begin with sqlite_ or sluice_ are taken"))
    {
      try SQLTable("sluice_jobs", [SQLColumn("a", .text)])
    }
    #expect(throws: SQLStreamingError.invalidTable("t", "two columns have one name")) {
      try SQLTable("t", [SQLColumn("a", .text), SQLColumn("A", .text)])
    }
  }

  @Test func everyKindOfValueArrives() throws {
    let folder = try Folder()
    let path = "\(folder.path)/values.db"
    let process = Process(path)
    let table = try SQLTable(
      "v", [SQLColumn("i", .integer), SQLColumn("r", .real), SQLColumn("t", .text), SQLColumn("b", .blob)])
    let sink = try process.sink(table, isDeciding: true)
    var rows = SQLRow()
    rows.append(Int64.min)
    rows.append(-0.5)
    rows.append("it's \"ö\"\n2")
    rows.append(blob: Bytes([0, 255, 10]))
    rows.append(nil as Int?)
    rows.append(nil as Double?)
    rows.append(nil as String?)
    rows.append(blob: nil)
    rows.append(7)
    rows.append(1e300)
    rows.append("")
    rows.append(blob: Bytes())
    let output = TaskOutput(records: 3, bytes: 0, payload: rows.finish())
    let prepared = try process.answer { then in
      sink.prepare(BatchIdentity(number: 1, time: 1), [output]) { then($0) }
    }.get()
    #expect(try process.decide([prepared], batch: 1) == "decided")
    let text = try query(path, "SELECT i, r, quote(t), quote(b), typeof(t), typeof(b) FROM v")
    #expect(
      text
        == "-9223372036854775808|-0.5|'it''s \"ö\"\n2'|X'00FF0A'|text|blob\n||NULL|NULL|null|null\n7|1.0e+300|''|X''|text|blob\n"
    )
  }

  @Test func rowsAndDecisionAreOneAndKeysReplace() throws {
    let folder = try Folder()
    let path = "\(folder.path)/totals.db"
    let process = Process(path)
    let sink = try process.sink(totals, isDeciding: true)
    #expect(try process.answer { then in process.database.takeOver { then($0) } }.get() == nil)
    let first = try process.prepare(sink, batch: 1, [("a", 1), ("b", 2)])
    #expect(try query(path, "SELECT count(*) FROM totals") == "0\n", "invisible until decided")
    #expect(try process.decide([first], batch: 1) == "decided")
    let second = try process.prepare(sink, batch: 2, [("b", 5), ("c", 1)])
    #expect(try process.decide([second], batch: 2) == "decided")
    #expect(try query(path, "SELECT name, count FROM totals ORDER BY name") == "a|1\nb|5\nc|1\n")
    let restarted = Process(path)
    _ = try restarted.sink(totals, isDeciding: true)
    let last = try restarted.answer { then in restarted.database.takeOver { then($0) } }.get()
    #expect(last == Decision(batch: 2, record: Bytes("record 2")))
  }

  @Test func aSuccessorKeepsAPausedProcessOut() throws {
    let folder = try Folder()
    let path = "\(folder.path)/totals.db"
    let paused = Process(path)
    let sink = try paused.sink(totals, isDeciding: true)
    let prepared = try paused.prepare(sink, batch: 1, [("a", 1)])
    let successor = Process(path)
    _ = try successor.sink(totals, isDeciding: true)
    let outcome = try paused.decide([prepared], batch: 1)
    #expect(outcome.contains("another instance of the job job has taken over \(path)"), "\(outcome)")
    #expect(outcome.hasPrefix("unknown("), "it must stop, whatever its failure policy")
    #expect(try query(path, "SELECT count(*) FROM totals") == "0\n")
    // Another job in the same database is nobody's successor.
    let other = Process(path)
    let third = try other.sink(
      try SQLTable("other", [SQLColumn("name", .text), SQLColumn("n", .integer)]), isDeciding: true, job: "other")
    let rows = try successor.prepare(try successor.sink(totals, isDeciding: true), batch: 1, [("a", 3)])
    #expect(try successor.decide([rows], batch: 1) == "decided")
    #expect(try other.decide([other.prepare(third, batch: 9, [("x", 1)])], batch: 9) == "decided")
    #expect(try query(path, "SELECT job, epoch, batch FROM sluice_jobs ORDER BY job") == "job|2|1\nother|1|9\n")
  }

  @Test func keptRowsAreShownOnceAndInOrderOrDropped() throws {
    let folder = try Folder()
    let path = "\(folder.path)/log.db"
    let table = try SQLTable("log", [SQLColumn("name", .text), SQLColumn("count", .integer)])
    let process = Process(path)
    let sink = try process.sink(table, isDeciding: false)
    let first = try process.prepare(sink, batch: 1, [("a", 1)])
    #expect(try query(path, "SELECT count(*) FROM log") == "0\n")
    try process.succeed { sink.commit(first, then: $0) }
    try process.succeed { sink.commit(first, then: $0) }
    let dropped = try process.prepare(sink, batch: 2, [("dropped", 2)])
    sink.abort(dropped)
    _ = try process.prepare(sink, batch: 2, [("b", 2)])
    _ = try process.prepare(sink, batch: 3, [("c", 3)])
    _ = try process.prepare(sink, batch: 4, [("d", 4)])
    // It dies here. Batches through 3 are decided.
    let restarted = Process(path)
    let again = try restarted.sink(table, isDeciding: false)
    try restarted.succeed { again.recover(through: 3, then: $0) }
    try restarted.succeed { again.recover(through: 3, then: $0) }
    #expect(try query(path, "SELECT name, count FROM log") == "a|1\nb|2\nc|3\n")
    #expect(try query(path, "SELECT count(*) FROM sluice_prepared") == "0\n")
  }

  @Test func aTableThatDoesNotFitIsRefusedAtTheStart() throws {
    let folder = try Folder()
    let path = "\(folder.path)/old.db"
    _ = try query(path, "CREATE TABLE totals (name TEXT, count INTEGER)")
    let process = Process(path)
    let error = #expect(throws: SQLStreamingError.self) { try process.sink(totals, isDeciding: true) }
    #expect(
      error?.description
        == "\(path) has a table totals that does not fit: its column name is not part of the primary key; save to another "
        + "table, or change or drop that one")
    let wide = try SQLTable("totals", [SQLColumn("name", .text), SQLColumn("mean", .real)])
    #expect(throws: SQLStreamingError.otherTable("totals", path: path, reason: "it has no column mean")) {
      try process.sink(wide, isDeciding: true)
    }
    let nowhere = Process("\(folder.path)/missing/x.db")
    let cannot = #expect(throws: SQLStreamingError.self) { try nowhere.sink(totals, isDeciding: true) }
    #expect(
      cannot?.description
        == "opening \(folder.path)/missing/x.db: unable to open database file (SQLite's code 14); check the path and who "
        + "may write there")
  }

  @Test func aFullDatabaseAbortsTheBatchAndKeepsWhatWasThere() throws {
    let folder = try Folder()
    let path = "\(folder.path)/full.db"
    let process = Process(path)
    let sink = try process.sink(totals, isDeciding: true)
    let first = try process.prepare(sink, batch: 1, [("a", 1)])
    #expect(try process.decide([first], batch: 1) == "decided")
    try process.succeed { then in
      process.database.limitPages(20, then: then)
    }
    let large = try process.prepare(sink, batch: 2, (0..<20_000).map { ("name \($0)", $0) })
    let outcome = try process.decide([large], batch: 2)
    #expect(outcome.hasPrefix("aborted("), "\(outcome)")
    #expect(outcome.contains("database or disk is full"), "\(outcome)")
    #expect(outcome.contains("make room on the disk"), "\(outcome)")
    #expect(try query(path, "SELECT name, count FROM totals") == "a|1\n")
    let small = try process.prepare(sink, batch: 2, [("b", 2)])
    #expect(try process.decide([small], batch: 2) == "decided")
  }

  @Test func cutOrAlteredRowsAreAnError() throws {
    var row = SQLRow()
    row.append("text")
    row.append(5)
    row.append(1.5)
    row.append(blob: Bytes([1, 2, 3]))
    let whole = Array(row.finish())
    for count in 1..<whole.count {
      Array(whole[..<count]).withUnsafeBytes { bytes in
        var reader = SQLValueReader(bytes)
        var values = 0
        do {
          while !reader.isAtEnd {
            _ = try reader.next()
            values += 1
          }
        } catch {
          #expect("\(error)" == "\(SQLStreamingError.damagedRows)")
          values = -1
        }
        #expect(values < 4)
      }
    }
    [9 as UInt8].withUnsafeBytes { bytes in
      var reader = SQLValueReader(bytes)
      #expect(throws: SQLStreamingError.damagedRows) { try reader.next() }
    }
  }
}

extension SQLiteDatabase {
  /// Makes the database full at so many pages.
  fileprivate func limitPages(_ pages: Int, then: @escaping @Sendable ((any Error)?) -> Void) {
    execute("PRAGMA max_page_count = \(pages)", then: then)
  }
}
