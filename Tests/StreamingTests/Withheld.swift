import Datasets
import Groundwork
import Testing

@testable import Streaming

/// A decider that answers when the test says so, and its sinks. What it is asked outlives the process that asks, as with a
/// database.
final class WithheldDecisions: Sendable {
  struct Question: Sendable {
    var decision: Decision
    var elements: [Int]
    var then: @Sendable (DecisionOutcome) -> Void
  }
  /// Waits for an answer.
  let questions = Cell<[Question]>([])
  /// What became visible, batch by batch.
  let visible = Cell<[(batch: BatchNumber, elements: [Int])]>([])
  let last = Cell<Decision?>(nil)
  /// What happened in the order in which it did: the sinks' part of it, and whatever the test adds.
  let story = Cell<[String]>([])

  /// The batches whose decision is waited for.
  var asked: [BatchNumber] { questions.value.map(\.decision.batch) }
  var shown: [[Int]] { visible.value.map { $0.elements.sorted() } }

  func takeStory() -> [String] {
    defer { story.value = [] }
    return story.value
  }

  /// The batch happens, though nobody may hear of it.
  func decide(isHeard: Bool = true, _ location: SourceLocation = #_sourceLocation) {
    guard let question = next(location) else { return }
    visible.value.append((question.decision.batch, question.elements))
    last.value = question.decision
    if isHeard { question.then(.decided) }
  }

  /// It does not.
  func abort(_ location: SourceLocation = #_sourceLocation) { next(location)?.then(.aborted(LedgerError())) }
  /// Nobody can say.
  func lose(_ location: SourceLocation = #_sourceLocation) { next(location)?.then(.unknown(LedgerError())) }

  private func next(_ location: SourceLocation) -> Question? {
    guard !questions.value.isEmpty else {
      Issue.record("no decision is asked for: \(story.value)", sourceLocation: location)
      return nil
    }
    return questions.value.removeFirst()
  }

  /// One process's way to it.
  final class Client: Decider {
    let decisions: WithheldDecisions
    /// Whether it is never asked to wait.
    let answersAtOnce: Bool
    init(_ decisions: WithheldDecisions, answersAtOnce: Bool = false) {
      self.decisions = decisions
      self.answersAtOnce = answersAtOnce
    }
    var name: String { "the test" }
    var rank: DeciderRank { .transaction }
    var keepsRecord: Bool { false }
    func takeOver(then: @escaping @Sendable (Result<Decision?, any Error>) -> Void) {
      decisions.questions.value = []
      var last = decisions.last.value
      last?.record = Bytes()
      then(.success(last))
    }
    func decide(
      _ decision: Decision, _ prepared: [any PreparedOutput], then: @escaping @Sendable (DecisionOutcome) -> Void
    ) {
      decisions.story.value.append("ask \(decision.batch)")
      let elements = prepared.flatMap { ($0 as? Prepared)?.elements ?? [] }
      decisions.questions.value.append(Question(decision: decision, elements: elements, then: then))
      if answersAtOnce { decisions.decide() }
    }
  }

  struct Prepared: PreparedOutput {
    var batch: BatchIdentity
    var elements: [Int]
  }

  final class WithheldSink: Sink {
    let name: String
    let client: Client
    init(_ name: String, _ client: Client) {
      self.name = name
      self.client = client
    }
    var guarantee: OutputGuarantee { OutputGuarantee(.exactlyOnce, reason: "a test") }
    var decider: (any Decider)? { client }
    func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void) { then(.success(nil)) }
    func prepare(
      _ batch: BatchIdentity, _ outputs: [TaskOutput],
      then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void
    ) {
      client.decisions.story.value.append("prepare \(batch.number)")
      then(.success(Prepared(batch: batch, elements: outputs.flatMap { $0.payload as? [Int] ?? [] })))
    }
    func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void) { then(nil) }
    func abort(_ prepared: any PreparedOutput) {}
    func discard(_ output: TaskOutput) { client.decisions.story.value.append("discard output") }
  }
}

/// Tells what becomes of batches.
final class BatchStory: StreamingListener {
  private let story: Cell<[String]>
  init(_ story: Cell<[String]>) { self.story = story }
  func onBatchSubmitted(_ batch: BatchInfo) {
    story.value.append("begin \(batch.number)" + (batch.attempts > 1 ? " again" : ""))
  }
  func onOutputOperationCompleted(_ operation: OutputOperationInfo, of batch: BatchNumber) {
    if operation.failureReason == nil { story.value.append("computed \(batch)") }
  }
  func onBatchCompleted(_ batch: BatchInfo) {
    let end = batch.isDiscarded ? "given up" : batch.failureReason != nil ? "failed" : "end"
    story.value.append("\(end) \(batch.number)")
  }
}
