import Groundwork

/// Reads what jobs have written to a database: for tools and tests.
package enum SQLiteDump {
  /// The rows of all tables but the engine's and SQLite's own, as text, values with tabs between; rows in no certain order.
  /// - Parameter path: of the database's file; where there is none, there are no tables.
  /// - Throws: `SQLStreamingError.database` where it cannot be read.
  package static func tables(of path: String) throws -> [String: [String]] {
    let connection = try SQLiteConnection(path)
    defer { connection.close() }
    var names: [String] = []
    let list = try connection.statement("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    try list.rows { row in names.append(row.text(0)) }
    var tables: [String: [String]] = [:]
    for name in names where !name.hasPrefix("sluice_") && !name.hasPrefix("sqlite_") {
      var rows: [String] = []
      let all = try connection.statement("SELECT * FROM \(SQLTable.quoted(name))")
      try all.rows { row in
        rows.append((0..<row.columnCount).map { row.text($0) }.joined(separator: "\t"))
      }
      tables[name] = rows
    }
    return tables
  }
}
