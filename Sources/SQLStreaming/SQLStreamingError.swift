import Groundwork

/// Why a database cannot take a stream's output.
public enum SQLStreamingError: DiagnosableError, Equatable {
  /// No such table can be.
  case invalidTable(String, String)
  /// A row of the job's function does not fit the table.
  case invalidRow(table: String, values: Int, columns: Int)
  /// The table of that name in the database is another one.
  case otherTable(String, path: String, reason: String)
  /// Another process, or another instance of the job, has the database now.
  case fenced(job: String, path: String)
  /// Kept rows that cannot be read.
  case damagedRows
  /// What SQLite said, with its extended result code (https://www.sqlite.org/rescode.html).
  case database(path: String, code: Int32, message: String, doing: String)

  /// Who must act: the job's author, the machine's keeper, or another process.
  public var fault: Fault {
    switch self {
    case .invalidTable, .invalidRow, .otherTable: .user
    case .fenced: .user
    case .damagedRows: .machine
    case .database: .machine
    }
  }

  /// Where another process holds the database for a while.
  public var isRetriable: Bool {
    guard case .database(_, let code, _, _) = self else { return false }
    return code & 0xFF == SQLStreamingError.busy || code & 0xFF == SQLStreamingError.locked
  }

  /// But for a damaged database, true.
  public var leavesUsable: Bool { self != .damagedRows }

  /// True where another instance writes to the database now.
  public var needsRestart: Bool { if case .fenced = self { true } else { false } }

  static let busy: Int32 = 5
  static let locked: Int32 = 6
  static let readOnly: Int32 = 8
  static let full: Int32 = 13
  static let cannotOpen: Int32 = 14

  /// What is wrong, and what to do.
  public var description: String {
    switch self {
    case .invalidTable(let name, let why): return "table `\(name)`: \(why)"
    case .invalidRow(let table, let values, let columns):
      return
        "a row for table \(table) has \(values) values, but the table has \(columns) columns: append one value for "
        + "each column, NULL where there is none"
    case .otherTable(let name, let path, let reason):
      return
        "\(path) has a table \(name) that does not fit: \(reason); save to another table, or change or drop that one"
    case .fenced(let job, let path):
      return
        "another instance of the job \(job) has taken over \(path): this one writes no more; run one of the two under "
        + "another name, with --name, or into another database"
    case .damagedRows: return "rows that were kept for a batch cannot be read: the database was damaged"
    case .database(let path, let code, let message, let doing):
      let advice =
        switch code & 0xFF {
        case SQLStreamingError.full: "; make room on the disk"
        case SQLStreamingError.busy, SQLStreamingError.locked:
          "; another process has held it for too long: end its transaction"
        case SQLStreamingError.readOnly, SQLStreamingError.cannotOpen: "; check the path and who may write there"
        default: ""
        }
      return "\(doing) \(path): \(message) (SQLite's code \(code))\(advice)"
    }
  }
}
