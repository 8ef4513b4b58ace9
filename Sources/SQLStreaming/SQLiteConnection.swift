import CSQLite
import Groundwork

/// One connection to a database file: the few calls of SQLite's C interface that are needed
/// (https://www.sqlite.org/cintro.html).
///
/// Sendable: made on one thread and used on one at a time afterwards, the helper loop's; SQLite is built thread-safe and is
/// opened so that it locks for itself (SQLITE_OPEN_FULLMUTEX).
final class SQLiteConnection: @unchecked Sendable {
  let path: String
  private var handle: OpaquePointer?
  private var statements: [String: Statement] = [:]

  /// Opens the database, made if need be, in write-ahead mode with commits that survive a power loss.
  init(_ path: String) throws(SQLStreamingError) {
    self.path = path
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX
    let code = sqlite3_open_v2(path, &handle, flags, nil)
    guard code == SQLITE_OK else {
      let error = failure(code, "opening")
      sqlite3_close_v2(handle)
      handle = nil
      throw error
    }
    sqlite3_extended_result_codes(handle, 1)
    sqlite3_busy_timeout(handle, 5_000)
    try execute("PRAGMA journal_mode = WAL")
    try execute("PRAGMA synchronous = FULL")
  }

  deinit { close() }

  /// Ends the connection; what was not committed is gone.
  func close() {
    for statement in statements.values { statement.finalize() }
    statements = [:]
    sqlite3_close_v2(handle)
    handle = nil
  }

  func failure(_ code: Int32, _ doing: String) -> SQLStreamingError {
    let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
    return .database(path: path, code: code, message: message, doing: doing)
  }

  /// Runs a statement that gives nothing back.
  func execute(_ sql: String, doing: String = "preparing") throws(SQLStreamingError) {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    guard code == SQLITE_OK else { throw failure(code, doing) }
  }

  /// What became of a transaction.
  enum End {
    case committed
    /// For certain nothing of it is there.
    case rolledBack(SQLStreamingError)
    /// The commit itself failed.
    case unknown(SQLStreamingError)
  }

  /// Runs `body` in a transaction that no other writer can come between.
  func transaction(_ body: () throws(SQLStreamingError) -> Void) -> End {
    do throws(SQLStreamingError) {
      try execute("BEGIN IMMEDIATE", doing: "writing")
    } catch {
      return .rolledBack(error)
    }
    do throws(SQLStreamingError) {
      try body()
    } catch {
      sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
      return .rolledBack(error)
    }
    let code = sqlite3_exec(handle, "COMMIT", nil, nil, nil)
    if code == SQLITE_OK { return .committed }
    let error = failure(code, "committing to")
    // A commit that finds the database busy has not happened, and its transaction is still open.
    if sqlite3_get_autocommit(handle) == 0 {
      sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
      return .rolledBack(error)
    }
    return .unknown(error)
  }

  /// A statement, compiled once.
  func statement(_ sql: String) throws(SQLStreamingError) -> Statement {
    if let known = statements[sql] { return known }
    var compiled: OpaquePointer?
    let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &compiled, nil)
    guard code == SQLITE_OK, let compiled else { throw failure(code, "preparing") }
    let statement = Statement(compiled, self)
    statements[sql] = statement
    return statement
  }

  /// A compiled statement; belongs to its connection.
  final class Statement {
    private let handle: OpaquePointer
    private unowned let connection: SQLiteConnection

    fileprivate init(_ handle: OpaquePointer, _ connection: SQLiteConnection) {
      self.handle = handle
      self.connection = connection
    }

    fileprivate func finalize() { sqlite3_finalize(handle) }

    private func check(_ code: Int32) throws(SQLStreamingError) {
      guard code == SQLITE_OK else { throw connection.failure(code, "writing") }
    }

    func bind(_ value: Int64, at index: Int32) throws(SQLStreamingError) {
      try check(sqlite3_bind_int64(handle, index, value))
    }

    /// Binds text, of which SQLite makes a copy.
    func bind(copying text: String, at index: Int32) throws(SQLStreamingError) {
      try check(sluice_sqlite_bind_text_copy(handle, index, text, UInt64(text.utf8.count)))
    }

    /// Binds a value that stays where it is until the statement has run.
    func bind(_ value: SQLValue, at index: Int32) throws(SQLStreamingError) {
      switch value {
      case .null: try check(sqlite3_bind_null(handle, index))
      case .integer(let number): try check(sqlite3_bind_int64(handle, index, number))
      case .real(let number): try check(sqlite3_bind_double(handle, index, number))
      case .text(let bytes):
        // Without an address SQLite binds NULL.
        let base = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
        try check(
          base.map { sluice_sqlite_bind_text(handle, index, $0, UInt64(bytes.count)) }
            ?? sluice_sqlite_bind_text(handle, index, "", 0))
      case .blob(let bytes):
        try check(
          bytes.baseAddress.map { sluice_sqlite_bind_blob(handle, index, $0, UInt64(bytes.count)) }
            ?? sqlite3_bind_zeroblob(handle, index, 0))
      }
    }

    /// Runs it to its end.
    func run() throws(SQLStreamingError) {
      let code = sqlite3_step(handle)
      sqlite3_reset(handle)
      guard code == SQLITE_DONE || code == SQLITE_ROW else { throw connection.failure(code, "writing") }
    }

    /// Runs it, and calls `row` for each row it gives.
    func rows(_ row: (Statement) throws(SQLStreamingError) -> Void) throws(SQLStreamingError) {
      defer { sqlite3_reset(handle) }
      while true {
        let code = sqlite3_step(handle)
        if code == SQLITE_DONE { return }
        guard code == SQLITE_ROW else { throw connection.failure(code, "reading") }
        try row(self)
      }
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    /// The bytes of a text or blob; empty for NULL.
    func bytes(_ column: Int32) -> Bytes {
      let count = Int(sqlite3_column_bytes(handle, column))
      guard let base = sqlite3_column_blob(handle, column) else { return Bytes() }
      return Bytes(copying: UnsafeRawBufferPointer(start: base, count: count))
    }

    func text(_ column: Int32) -> String { String(bytes(column)) }
  }
}
