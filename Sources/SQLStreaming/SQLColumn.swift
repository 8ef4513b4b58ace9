/// A column of a table that a stream is saved to.
public struct SQLColumn: Sendable, Equatable {
  /// What the column holds (SQLite's storage classes, https://www.sqlite.org/datatype3.html).
  public enum Kind: String, Sendable {
    /// 64-bit whole numbers.
    case integer = "INTEGER"
    /// 64-bit floating-point numbers.
    case real = "REAL"
    /// UTF-8.
    case text = "TEXT"
    /// Bytes as they are.
    case blob = "BLOB"
  }

  /// The column's name.
  public var name: String
  /// What it holds.
  public var kind: Kind
  /// Whether it is part of the table's key: a row replaces the one with the same key.
  public var isKey: Bool

  /// - Parameters:
  ///   - name: the column's name.
  ///   - kind: what it holds.
  ///   - isKey: whether it is part of the table's key.
  public init(_ name: String, _ kind: Kind, isKey: Bool = false) {
    self.name = name
    self.kind = kind
    self.isKey = isKey
  }
}

/// A table with its columns, and the statements that write to it.
struct SQLTable: Sendable, Equatable {
  let name: String
  let columns: [SQLColumn]

  /// - Throws: where no such table can be.
  init(_ name: String, _ columns: [SQLColumn]) throws(SQLStreamingError) {
    guard !name.isEmpty, !columns.isEmpty else { throw .invalidTable(name, "it needs a name and a column") }
    guard !name.lowercased().hasPrefix("sqlite_"), !name.lowercased().hasPrefix("sluice_") else {
      throw .invalidTable(name, "names that begin with sqlite_ or sluice_ are taken")
    }
    guard Set(columns.map { $0.name.lowercased() }).count == columns.count else {
      throw .invalidTable(name, "two columns have one name")
    }
    guard columns.allSatisfy({ !$0.name.isEmpty }) else { throw .invalidTable(name, "a column has no name") }
    self.name = name
    self.columns = columns
  }

  private var keys: [SQLColumn] { columns.filter(\.isKey) }

  var creation: String {
    var parts = columns.map { "\(SQLTable.quoted($0.name)) \($0.kind.rawValue)\($0.isKey ? " NOT NULL" : "")" }
    if !keys.isEmpty { parts.append("PRIMARY KEY (\(keys.map { SQLTable.quoted($0.name) }.joined(separator: ", ")))") }
    return "CREATE TABLE IF NOT EXISTS \(SQLTable.quoted(name)) (\(parts.joined(separator: ", ")))"
  }

  /// Adds a row, or replaces the one with its key.
  var insertion: String {
    let names = columns.map { SQLTable.quoted($0.name) }
    let places = columns.indices.map { "?\($0 + 1)" }
    var text =
      "INSERT INTO \(SQLTable.quoted(name)) (\(names.joined(separator: ", "))) "
      + "VALUES (\(places.joined(separator: ", ")))"
    if !keys.isEmpty {
      let changes = columns.filter { !$0.isKey }.map {
        "\(SQLTable.quoted($0.name)) = excluded.\(SQLTable.quoted($0.name))"
      }
      text +=
        " ON CONFLICT (\(keys.map { SQLTable.quoted($0.name) }.joined(separator: ", "))) DO "
        + (changes.isEmpty ? "NOTHING" : "UPDATE SET \(changes.joined(separator: ", "))")
    }
    return text
  }

  /// A name as SQL reads it.
  static func quoted(_ name: String) -> String {
    "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
  }
}
