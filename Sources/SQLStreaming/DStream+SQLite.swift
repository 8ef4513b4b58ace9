import Datasets
import Groundwork
import Streaming

extension DStream {
  /// Saves each batch as rows of a table in an SQLite database, exactly once.
  ///
  /// The table is made where it is not there. Where no topic and no manifest of files decides the job's batches, the
  /// database does: rows, batch number, offsets and state version are one transaction, synced, however many tables of the
  /// database the job writes. Elsewhere rows are kept in the database before the decision, and shown after it.
  ///
  ///     totals.saveToSQLite(
  ///       "totals.db", table: "totals",
  ///       columns: [SQLColumn("origin", .text, isKey: true), SQLColumn("flights", .integer)]
  ///     ) { total, row in
  ///       row.append(total.origin)
  ///       row.append(total.flights)
  ///     }
  ///
  /// Writing stops other writers of the database for the length of the transaction; readers go on beside it (write-ahead
  /// mode). The database is a real file also in a simulated world.
  /// - Parameters:
  ///   - path: of the database's file, made where it is not there; its folder must exist.
  ///   - table: its name.
  ///   - columns: what the rows consist of. With key columns a row replaces the one with the same key.
  ///   - row: appends one value for each column, in their order; called in tasks.
  /// - Returns: the output, to be named.
  @discardableResult
  @inlinable public func saveToSQLite(
    _ path: String, table: String, columns: [SQLColumn],
    row: @escaping @Sendable (Element, inout SQLRow) throws -> Void
  ) -> OutputDefinition {
    saveRows(path, table, columns) { view, rows, records in
      for index in 0..<view.count {
        rows.count = 0
        try row(view[index], &rows)
        guard rows.count == columns.count else {
          throw SQLStreamingError.invalidRow(table: table, values: rows.count, columns: columns.count)
        }
      }
      records += view.count
    }
  }

  @usableFromInline func saveRows(
    _ path: String, _ table: String, _ columns: [SQLColumn],
    _ encode: @escaping @Sendable (UnsafeBufferPointer<Element>, inout SQLRow, inout Int) throws -> Void
  ) -> OutputDefinition {
    let sink: SQLiteSink
    do {
      let table = try SQLTable(table, columns)
      let databases = context.attachment(SQLiteDatabases.self) { SQLiteDatabases() }
      sink = SQLiteSink(table, databases.database(path, context), log: context.environment.log)
      guard databases.tables.insert("\(path) \(table.name.lowercased())").inserted else {
        throw SQLStreamingError.invalidTable(table.name, "two outputs of this job write it: unite the streams")
      }
    } catch {
      context.note(.invalidDefinition("saveToSQLite: \(error)"))
      return .none(context)
    }
    return write(to: sink, label: "saveToSQLite") { dataset, partition, task in
      var rows = SQLRow()
      var records = 0
      try dataset.compute(partition, task) { view in try encode(view, &rows, &records) }
      let bytes = rows.finish()
      return TaskOutput(records: records, bytes: bytes.count, payload: bytes)
    }
  }
}

/// The databases of a context, by path, while the job is defined.
private final class SQLiteDatabases {
  private var byPath: [String: SQLiteDatabase] = [:]
  var tables: Set<String> = []

  func database(_ path: String, _ context: StreamingContext) -> SQLiteDatabase {
    if let known = byPath[path] { return known }
    let database = SQLiteDatabase(
      path, helper: context.helperLoop(named: "sqlite"), driver: context.environment.loop)
    byPath[path] = database
    context.atStop { database.close() }
    return database
  }
}
