import Datasets
import Groundwork
import SystemInterfaces

@testable import Streaming

/// A decider as a Kafka cluster or a database is one: outside of the job's process and of its disk, it lives on when they
/// die. What is given to it takes effect some time after the call, and the answer comes later still, if at all.
final class Ledger: Sendable {
  struct Entry: Sendable, Equatable {
    var batch: BatchNumber
    var elements: [Int]
  }
  struct Content: Sendable {
    var decisions: [Decision] = []
    /// What became visible, by sink.
    var visible: [String: [Entry]] = [:]
    /// What followers hold until the batch is decided.
    var held: [String: [Entry]] = [:]
    /// Whose calls still count: a later process keeps the earlier ones out.
    var epoch = 0
  }
  let content = Cell(Content())
  let keepsRecord: Bool
  /// Where its effects happen, whoever dies.
  let loop: any Loop

  init(keepsRecord: Bool, _ loop: any Loop) {
    self.keepsRecord = keepsRecord
    self.loop = loop
  }

  /// The elements that a sink shows, in no order.
  func visible(_ sink: String) -> [Int] { (content.value.visible[sink] ?? []).flatMap(\.elements).sorted() }

  /// One process's way to it.
  ///
  /// Sendable: touched on the driver's loop alone.
  final class Client: Decider, @unchecked Sendable {
    let ledger: Ledger
    let loop: any Loop
    /// What the next decision comes to: nil for success.
    let trouble: @Sendable () -> Trouble?
    private var epoch = 0
    enum Trouble { case aborted, unknownBefore, unknownAfter }

    init(_ ledger: Ledger, _ loop: any Loop, trouble: @escaping @Sendable () -> Trouble? = { nil }) {
      self.ledger = ledger
      self.loop = loop
      self.trouble = trouble
    }

    var name: String { "the ledger" }
    var rank: DeciderRank { .transaction }
    var keepsRecord: Bool { ledger.keepsRecord }

    func takeOver(then: @escaping @Sendable (Result<Decision?, any Error>) -> Void) {
      ledger.content.value.epoch += 1
      epoch = ledger.content.value.epoch
      var last = ledger.content.value.decisions.last
      if !keepsRecord { last?.record = Bytes() }
      loop.after(.milliseconds(2)) { [last] in then(.success(last)) }
    }

    func decide(
      _ decision: Decision, _ prepared: [any PreparedOutput], then: @escaping @Sendable (DecisionOutcome) -> Void
    ) {
      let trouble = trouble()
      // On its way: the process may die meanwhile, and the ledger hears of it all the same.
      ledger.loop.after(.milliseconds(3)) { [self] in
        let answer: @Sendable (DecisionOutcome) -> Void = { [loop] outcome in
          loop.after(.milliseconds(3)) { then(outcome) }
        }
        if case .aborted = trouble { return answer(.aborted(LedgerError())) }
        if case .unknownBefore = trouble { return answer(.unknown(LedgerError())) }
        guard ledger.content.value.epoch == epoch else { return answer(.unknown(LedgerError())) }
        ledger.content.value.decisions.append(decision)
        for case let output as LedgerSink.Prepared in prepared where !output.entry.elements.isEmpty {
          ledger.content.value.visible[output.sink, default: []].append(output.entry)
        }
        if case .unknownAfter = trouble { return answer(.unknown(LedgerError())) }
        answer(.decided)
      }
    }
  }
}

struct LedgerError: DiagnosableError {
  var isRetriable: Bool { false }
  var fault: Fault { .peer }
  var leavesUsable: Bool { true }
  var description: String { "the ledger does not answer" }
}

/// A sink that shows what it is given in the ledger: decided there, held there until another has decided, or at once.
final class LedgerSink: Sink {
  enum Kind { case deciding, following, careless }
  struct Prepared: PreparedOutput {
    var sink: String
    var entry: Ledger.Entry
    var batch: BatchIdentity
  }
  let name: String
  let kind: Kind
  let client: Ledger.Client
  private var ledger: Ledger { client.ledger }

  init(_ name: String, _ kind: Kind, _ client: Ledger.Client) {
    self.name = name
    self.kind = kind
    self.client = client
  }

  var guarantee: OutputGuarantee { OutputGuarantee(kind == .careless ? .atLeastOnce : .exactlyOnce, reason: "a test") }
  var decider: (any Decider)? { kind == .deciding ? client : nil }
  var keepsPrepared: Bool { kind == .following }

  func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void) { then(.success(nil)) }

  func recover(through decided: BatchNumber?, then: @escaping @Sendable ((any Error)?) -> Void) {
    for entry in ledger.content.value.held[name] ?? [] where entry.batch <= decided ?? 0 {
      ledger.content.value.visible[name, default: []].append(entry)
    }
    ledger.content.value.held[name] = []
    then(nil)
  }

  func prepare(
    _ batch: BatchIdentity, _ outputs: [TaskOutput],
    then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void
  ) {
    let entry = Ledger.Entry(batch: batch.number, elements: outputs.flatMap { $0.payload as? [Int] ?? [] })
    client.loop.after(.milliseconds(1)) { [self] in
      if kind == .following { ledger.content.value.held[name, default: []].append(entry) }
      then(.success(Prepared(sink: name, entry: entry, batch: batch)))
    }
  }

  func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void) {
    guard let prepared = prepared as? Prepared else { return then(LedgerError()) }
    client.loop.after(.milliseconds(1)) { [self] in
      if kind == .following {
        ledger.content.value.held[name]?.removeAll { $0 == prepared.entry }
      }
      if !prepared.entry.elements.isEmpty {
        ledger.content.value.visible[name, default: []].append(prepared.entry)
      }
      client.loop.after(.milliseconds(1)) { then(nil) }
    }
  }

  func abort(_ prepared: any PreparedOutput) {
    guard let prepared = prepared as? Prepared else { return }
    ledger.content.value.held[name]?.removeAll { $0 == prepared.entry }
  }

  func discard(_ output: TaskOutput) {}
}
