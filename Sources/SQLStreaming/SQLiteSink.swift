import Datasets
import Groundwork
import Streaming

/// Writes rows to one table of a database: in the transaction that decides the batch, or, after another has decided, out
/// of a table in which they were kept.
///
/// Sendable: its properties are constant but `isDeciding`, which is written once, on the driver's loop, before any batch.
final class SQLiteSink: Sink, @unchecked Sendable {
  let table: SQLTable
  private let database: SQLiteDatabase
  private let log: @Sendable (String) -> Void
  private var isDeciding = false

  init(_ table: SQLTable, _ database: SQLiteDatabase, log: @escaping @Sendable (String) -> Void) {
    self.table = table
    self.database = database
    self.log = log
  }

  struct Prepared: PreparedOutput {
    var batch: BatchIdentity
    var table: SQLTable
    /// Encoded rows, a part for each task.
    var rows: [Bytes]
  }

  var name: String { "table \(table.name) of \(database.path)" }
  var decider: (any Decider)? { database }
  var keepsPrepared: Bool { true }

  var guarantee: OutputGuarantee {
    OutputGuarantee(
      .exactlyOnce,
      reason: isDeciding
        ? "rows, offsets and state version are one transaction of the database, synced"
        : "rows are kept in the database before the batch is decided, and shown once it is")
  }

  func open(_ opening: SinkOpening, then: @escaping @Sendable ((any Error)?) -> Void) {
    isDeciding = opening.isDeciding
    database.open(table, for: opening.job, then: then)
  }

  func recover(through decided: BatchNumber?, then: @escaping @Sendable ((any Error)?) -> Void) {
    database.settle(table, through: decided, then: then)
  }

  func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void) {
    database.takeOver { result in then(result.map { $0?.batch }) }
  }

  func prepare(
    _ batch: BatchIdentity, _ outputs: [TaskOutput],
    then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void
  ) {
    let rows = outputs.compactMap { $0.payload as? Bytes }.filter { !$0.isEmpty }
    let prepared = Prepared(batch: batch, table: table, rows: rows)
    if isDeciding || rows.isEmpty { return then(.success(prepared)) }
    database.keep(prepared) { error in then(error.map { .failure($0) } ?? .success(prepared)) }
  }

  func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void) {
    guard let prepared = prepared as? Prepared, !prepared.rows.isEmpty else { return then(nil) }
    database.show(prepared, then: then)
  }

  func abort(_ prepared: any PreparedOutput) {
    guard !isDeciding, let prepared = prepared as? Prepared, !prepared.rows.isEmpty else { return }
    database.drop(prepared) { [log, name] error in
      if let error { log("\(name): rows of batch \(prepared.batch.number) are left over: \(error)") }
    }
  }

  func discard(_ output: TaskOutput) {}
}
