import Groundwork
import Simulation
import SystemInterfaces
import Testing

/// Goal: a disk that fails in any log costs a run of the job at most: it says why it ends, and when the disk is well again
/// nothing is lost or doubled. Strategy: the first write, sync, rename … of each log fails, then the second, and so on; or
/// from there on the disk is full, until somebody makes room and starts again what has ended.
@Suite struct LogFaultTests {
  /// Logs of the job's disk and of the broker's, by a part of their paths.
  private static let logs: [(path: String, isBroker: Bool)] = [
    ("/checkpoint/plans", false), ("/checkpoint/commits", false), ("/checkpoint/state", false),
    ("/_sluice", false), ("/lines/.part-", false), ("", false), ("/text-", false),
    ("transactions.journal", true), ("offsets.journal", true), ("/lines-0/", true), ("", true),
  ]

  private static let operations: [DiskFault.Operation] = [.write, .sync, .open, .rename, .truncate, .remove]

  private static func definition(_ index: Int) -> ExactDefinition {
    let (path, isBroker) = logs[index]
    if path == "/text-" { return ExactDefinition([.text, .topic], counted: .text) }
    return ExactDefinition(isBroker || index % 2 == 0 ? [.topic, .files] : [.table, .files], counted: .files)
  }

  private static func hold(
    _ index: Int, _ operation: DiskFault.Operation, _ blow: Strike.Blow, _ step: Int, at: Int
  ) throws -> (struck: Int, errors: [String])? {
    let (path, isBroker) = logs[index]
    let strike = Strike(
      moment: isBroker ? .brokerCall(at) : .jobCall(at), blow: blow, isTorn: step % 2 == 0, path: path,
      operation: operation)
    var definition = definition(index)
    // Every other batch is tried again by the run that was struck.
    if step % 2 == 0 { definition.retry() }
    return try ExactRuns.hold(definition, [strike], seed: UInt64(index * 100 + step))
  }

  /// 304, 502: a manifest whose sync had failed took no further batch, which the same run tried for ever.
  @Test(arguments: [(3, 4), (5, 2)]) func formerlyFailingSeedsHold(index: Int, step: Int) throws {
    for code in [FileError.Code.inputOutput, .diskFull] {
      let end = try Self.hold(index, .sync, .fails(code), step, at: step)
      // The run that was struck went on by itself.
      #expect(end?.struck == 1 && end?.errors == [], "\(end?.errors ?? [])")
    }
  }

  @Test(arguments: logs.indices) func aDiskThatFailsInALog(index: Int) throws {
    let path = Self.logs[index].path
    let most = ExactRuns.isLong ? 40 : 2
    var struck = 0
    var failed = 0
    for (number, operation) in Self.operations.enumerated() {
      for blow in [Strike.Blow.fails(.inputOutput), .fails(.diskFull), .full] where failed < 3 {
        if case .full = blow, operation != .write { continue }
        for step in 1...most {
          let at = step == most ? step + 3 * (number % 3) : step
          guard let end = try Self.hold(index, operation, blow, step, at: at) else {
            failed += 1
            break
          }
          if end.struck == 0 { break }
          struck += 1
          for error in end.errors where error.count < 20 {
            Issue.record("\(operation), \(blow) at \(at) of \(path): \(error)")
          }
        }
      }
    }
    #expect(struck > 0 || failed > 0, "nothing was struck in \(path)")
  }

  /// As above, in a start that follows a death: what it cuts, settles and rolls forward fails half way.
  @Test(arguments: logs.indices) func aDiskThatFailsInAStart(index: Int) throws {
    let (path, isBroker) = Self.logs[index]
    var failed = 0
    for (number, operation) in Self.operations.enumerated() where failed < 3 {
      for step in 1...(ExactRuns.isLong ? 20 : 1) {
        let strikes = [
          Strike(moment: .event(7 + 31 * (step + number) % 200), blow: isBroker ? .brokerDies : .jobDies),
          Strike(
            moment: isBroker ? .brokerCall(step) : .jobCall(step), blow: .fails(.inputOutput), isTorn: step % 2 == 0,
            path: path, operation: operation),
        ]
        guard let end = try ExactRuns.hold(Self.definition(index), strikes, seed: UInt64(index * 100 + step)) else {
          failed += 1
          break
        }
        if end.struck < 2 { break }
      }
    }
  }
}
