import Datasets
import Groundwork
import Streaming
import SystemInterfaces

/// A database that a job writes to, and the decider that comes with it: rows of several tables, the batch number, its
/// offsets and its state version in one transaction.
///
/// Two tables are the engine's: `sluice_jobs` has a row for each job (writer epoch, last decided batch, its record), and
/// `sluice_prepared` the rows of batches that another decider has still to decide.
///
/// Sendable: its properties are constant but the last three, which only the helper loop touches.
final class SQLiteDatabase: Decider, @unchecked Sendable {
  let path: String
  private let helper: HelperLoop
  private let driver: any Loop
  private var connection: SQLiteConnection?
  private var job = ""
  /// Of all processes that ever wrote for the job, this one's number: a later one keeps it out.
  private var epoch: Int64 = 0

  init(_ path: String, helper: HelperLoop, driver: any Loop) {
    self.path = path
    self.helper = helper
    self.driver = driver
  }

  var name: String { "the database \(path)" }
  var rank: DeciderRank { .database }
  var keepsRecord: Bool { true }

  /// Opens the database, where that was not done yet, and makes the table where it is not there.
  func open(_ table: SQLTable, for job: String, then: @escaping @Sendable ((any Error)?) -> Void) {
    perform(then) { [self] in
      let connection = try open(job)
      try connection.execute(table.creation)
      try check(table, connection)
    }
  }

  func takeOver(then: @escaping @Sendable (Result<Decision?, any Error>) -> Void) {
    helper.perform(for: driver) { [self] in
      var decision: Decision?
      guard let connection else { return decision }
      let query = try connection.statement("SELECT batch, record FROM sluice_jobs WHERE job = ?1 AND batch IS NOT NULL")
      try query.bind(copying: job, at: 1)
      try query.rows { row in decision = Decision(batch: BatchNumber(row.integer(0)), record: row.bytes(1)) }
      return decision
    } then: {
      then($0)
    }
  }

  func decide(
    _ decision: Decision, _ prepared: [any PreparedOutput], then: @escaping @Sendable (DecisionOutcome) -> Void
  ) {
    helper.perform(for: driver) { [self] in
      try transaction { connection throws(SQLStreamingError) in
        for case let output as SQLiteSink.Prepared in prepared {
          try insert(output.rows, into: output.table, connection)
        }
        let note = try connection.statement("UPDATE sluice_jobs SET batch = ?2, record = ?3 WHERE job = ?1")
        try note.bind(copying: job, at: 1)
        try note.bind(decision.batch.rawValue, at: 2)
        try note.bind(copying: String(decision.record), at: 3)
        try note.run()
      }
    } then: { result in
      switch result {
      case .success(.committed): then(.decided)
      case .success(.rolledBack(let error)):
        // Whoever was taken over from must not go on, whatever its failure policy says.
        if case .fenced = error { then(.unknown(error)) } else { then(.aborted(error)) }
      case .success(.unknown(let error)): then(.unknown(error))
      case .failure(let error): then(.unknown(error))
      }
    }
  }

  // MARK: Rows of batches that another decider decides

  /// Keeps a batch's rows until they are known to belong there.
  func keep(_ output: SQLiteSink.Prepared, then: @escaping @Sendable ((any Error)?) -> Void) {
    changes(then) { [self] connection throws(SQLStreamingError) in
      let keep = try connection.statement(
        "INSERT OR REPLACE INTO sluice_prepared (job, sink, batch, rows) VALUES (?1, ?2, ?3, ?4)")
      try bind(keep, output.table, output.batch.number)
      var rows = ByteWriter(capacity: output.rows.reduce(0) { $0 + $1.count })
      for part in output.rows { rows.append(part) }
      try rows.finish().withUnsafeBytes { bytes throws(SQLStreamingError) in
        try keep.bind(.blob(bytes), at: 4)
        try keep.run()
      }
    }
  }

  /// Moves a batch's rows to their table; once, however often it is called.
  func show(_ output: SQLiteSink.Prepared, then: @escaping @Sendable ((any Error)?) -> Void) {
    changes(then) { [self] connection throws(SQLStreamingError) in
      if try forget(output.table, output.batch.number, connection) {
        try insert(output.rows, into: output.table, connection)
      }
    }
  }

  /// Removes a batch's rows, which will never be shown.
  func drop(_ output: SQLiteSink.Prepared, then: @escaping @Sendable ((any Error)?) -> Void) {
    changes(then) { [self] connection throws(SQLStreamingError) in
      _ = try forget(output.table, output.batch.number, connection)
    }
  }

  /// Shows what is kept of decided batches, in their order, and removes the rest.
  func settle(_ table: SQLTable, through decided: BatchNumber?, then: @escaping @Sendable ((any Error)?) -> Void) {
    changes(then) { [self] connection throws(SQLStreamingError) in
      var kept: [(batch: BatchNumber, rows: Bytes)] = []
      let query = try connection.statement(
        "SELECT batch, rows FROM sluice_prepared WHERE job = ?1 AND sink = ?2 ORDER BY batch")
      try bind(query, table, nil)
      try query.rows { row in kept.append((BatchNumber(row.integer(0)), row.bytes(1))) }
      for entry in kept {
        if entry.batch <= decided ?? 0 { try insert([entry.rows], into: table, connection) }
        _ = try forget(table, entry.batch, connection)
      }
    }
  }

  /// - Returns: whether there was something to forget.
  private func forget(
    _ table: SQLTable, _ batch: BatchNumber, _ connection: SQLiteConnection
  ) throws(SQLStreamingError) -> Bool {
    let removal = try connection.statement(
      "DELETE FROM sluice_prepared WHERE job = ?1 AND sink = ?2 AND batch = ?3 RETURNING 1")
    try bind(removal, table, batch)
    var isFound = false
    try removal.rows { _ in isFound = true }
    return isFound
  }

  private func bind(
    _ statement: SQLiteConnection.Statement, _ table: SQLTable, _ batch: BatchNumber?
  ) throws(SQLStreamingError) {
    try statement.bind(copying: job, at: 1)
    try statement.bind(copying: table.name, at: 2)
    if let batch { try statement.bind(batch.rawValue, at: 3) }
  }

  // MARK: On the helper loop

  private func open(_ job: String) throws(SQLStreamingError) -> SQLiteConnection {
    if let connection { return connection }
    let connection = try SQLiteConnection(path)
    self.connection = connection
    self.job = job
    try connection.execute(
      "CREATE TABLE IF NOT EXISTS sluice_jobs (job TEXT PRIMARY KEY, epoch INTEGER NOT NULL, batch INTEGER, record TEXT)"
    )
    try connection.execute(
      "CREATE TABLE IF NOT EXISTS sluice_prepared (job TEXT NOT NULL, sink TEXT NOT NULL, batch INTEGER NOT NULL, "
        + "rows BLOB NOT NULL, PRIMARY KEY (job, sink, batch))")
    let raise = try connection.statement(
      "INSERT INTO sluice_jobs (job, epoch) VALUES (?1, 1) ON CONFLICT (job) DO UPDATE SET epoch = epoch + 1 "
        + "RETURNING epoch")
    try raise.bind(copying: job, at: 1)
    try raise.rows { row in epoch = row.integer(0) }
    return connection
  }

  private func check(_ table: SQLTable, _ connection: SQLiteConnection) throws(SQLStreamingError) {
    var found: [String: Bool] = [:]
    let query = try connection.statement("SELECT name, pk FROM pragma_table_info(?1)")
    try query.bind(copying: table.name, at: 1)
    try query.rows { row in found[row.text(0).lowercased()] = row.integer(1) > 0 }
    for column in table.columns {
      guard let isKey = found[column.name.lowercased()] else {
        throw .otherTable(table.name, path: path, reason: "it has no column \(column.name)")
      }
      if isKey != column.isKey {
        throw .otherTable(
          table.name, path: path, reason: "its column \(column.name) is \(isKey ? "" : "not ")part of the primary key")
      }
    }
  }

  /// Inserts encoded rows.
  private func insert(
    _ rows: [Bytes], into table: SQLTable, _ connection: SQLiteConnection
  ) throws(SQLStreamingError) {
    let insertion = try connection.statement(table.insertion)
    for part in rows {
      try part.withUnsafeBytes { bytes throws(SQLStreamingError) in
        var reader = SQLValueReader(bytes)
        while !reader.isAtEnd {
          for column in table.columns.indices { try insertion.bind(try reader.next(), at: Int32(column + 1)) }
          try insertion.run()
        }
      }
    }
  }

  /// Runs a transaction that changes something, where no later process has taken over.
  private func transaction(
    _ body: (SQLiteConnection) throws(SQLStreamingError) -> Void
  ) throws(SQLStreamingError) -> SQLiteConnection.End {
    guard let connection else { throw .fenced(job: job, path: path) }
    return connection.transaction { () throws(SQLStreamingError) in
      var current: Int64 = -1
      let query = try connection.statement("SELECT epoch FROM sluice_jobs WHERE job = ?1")
      try query.bind(copying: job, at: 1)
      try query.rows { row in current = row.integer(0) }
      guard current == epoch else { throw .fenced(job: job, path: path) }
      try body(connection)
    }
  }

  private func changes(
    _ then: @escaping @Sendable ((any Error)?) -> Void,
    _ body: @escaping @Sendable (SQLiteConnection) throws(SQLStreamingError) -> Void
  ) {
    perform(then) { [self] in
      switch try transaction(body) {
      case .committed: return
      case .rolledBack(let error), .unknown(let error): throw error
      }
    }
  }

  private func perform(
    _ then: @escaping @Sendable ((any Error)?) -> Void, _ body: @escaping @Sendable () throws -> Void
  ) {
    helper.perform(for: driver, body) { result in
      if case .failure(let error) = result { then(error) } else { then(nil) }
    }
  }

  /// Runs a statement that belongs to no batch.
  func execute(_ sql: String, then: @escaping @Sendable ((any Error)?) -> Void) {
    perform(then) { [self] in try connection?.execute(sql) }
  }

  /// Ends the connection, when the job has ended.
  func close() {
    helper.loop.post { [self] in
      connection?.close()
      connection = nil
    }
  }
}
