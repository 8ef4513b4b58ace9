import Datasets
import Groundwork

/// Decides how the output of one batch is computed, prepared and committed; does nothing itself.
///
/// Each operation goes waiting → computing → computed → preparing → prepared → committing → committed. It leaves that way
/// for `dropped` (by way of `abandoned` where its sink is at work) where the batch fails before it is decided, and for
/// `uncommitted` where its commit failed for good. An answer that no state waits for changes nothing.
///
/// Commits come in this order: sinks that keep nothing from one run to the next, since after the decision a crash would
/// lose their output; then the decision; then all others.
struct OutputMachine {
  /// Where one operation stands.
  enum State {
    /// Not begun.
    case waiting
    /// Its job runs; next computed, or dropped.
    case computing
    /// Its outputs are here; next preparing, or dropped.
    case computed([TaskOutput])
    /// Its sink prepares; next prepared, or dropped.
    case preparing([TaskOutput])
    /// Held by its sink, invisible; next committing or deciding, or dropped.
    case prepared(any PreparedOutput)
    /// Its decider decides; next committed, uncommitted or dropped.
    case deciding(any PreparedOutput)
    /// Its sink commits, for the nth time, or waits to do so again; next committed or uncommitted.
    case committing(any PreparedOutput, attempt: Int)
    /// Visible. The end.
    case committed
    /// Its last commit failed: visible or not, nobody knows. The end.
    case uncommitted
    /// Given up while its sink prepares; next dropped, once the sink has answered.
    case abandoned([TaskOutput])
    /// Aborted or discarded. The end.
    case dropped
  }

  enum Action {
    case compute(Int)
    case prepare(Int, [TaskOutput])
    case commit(Int, any PreparedOutput)
    case retryCommit(Int, after: Duration)
    /// Decide the batch, with what the decider's sinks have prepared; nothing where none of them has a record.
    case decide([any PreparedOutput])
    case abort(Int, any PreparedOutput)
    case discard(Int, [TaskOutput])
    case reportComputed(OutputFailure?)
    case reportPrepared(OutputFailure?)
    case reportCommitted(CommitOutcome)
  }

  /// What the machine needs to know of an operation.
  struct Facts {
    var name: String
    /// nil: an action, which has nothing to commit.
    var sink: String?
    var place: CommitPlace
  }

  private enum Phase { case new, computing, computed, preparing, prepared, committing, ended }
  private enum Step { case commit(Int), decide }

  let batch: BatchIdentity
  private let facts: [Facts]
  private let commitAttemptsMax: Int
  private let backoff: Duration
  private let backoffMax: Duration
  private(set) var states: [State]
  private var phase = Phase.new
  private var failure: OutputFailure?
  /// Operations with a sink, and the decision, in the order of their commits; otherwise as defined.
  private let steps: [Step]
  /// The place in `steps` where the commit stands.
  private var position = 0
  private var isDecided = false
  /// Records that the operations handed over.
  private var records: [Int]
  private var late: [OutputFailure] = []

  init(
    batch: BatchIdentity, _ facts: [Facts], commitAttemptsMax: Int, backoff: Duration, backoffMax: Duration
  ) {
    self.batch = batch
    self.facts = facts
    self.commitAttemptsMax = commitAttemptsMax
    self.backoff = backoff
    self.backoffMax = backoffMax
    states = Array(repeating: .waiting, count: facts.count)
    records = Array(repeating: 0, count: facts.count)
    let sinks = facts.indices.filter { facts[$0].sink != nil }
    steps =
      sinks.filter { facts[$0].place == .beforeDecision }.map { .commit($0) } + [.decide]
      + sinks.filter { facts[$0].place != .beforeDecision }.map { .commit($0) }
  }

  /// Whether everything that was taken is committed, dropped, or given up.
  var isEnded: Bool { phase == .ended }

  mutating func computeRequested() -> [Action] {
    guard phase == .new else { return [.reportComputed(fail(.order("compute"), nil, nil))] }
    phase = .computing
    return computeNext(0)
  }

  mutating func computed(_ index: Int, _ result: Result<[TaskOutput], any Error>) -> [Action] {
    guard case .computing = states[index] else {
      // The batch was aborted meanwhile: what came of it is dropped.
      if case .success(let outputs) = result, !outputs.isEmpty { return [.discard(index, outputs)] }
      return []
    }
    switch result {
    case .success(let outputs):
      states[index] = .computed(outputs)
      records[index] = outputs.reduce(0) { $0 + $1.records }
      return computeNext(index + 1)
    case .failure(let error):
      states[index] = .dropped
      return drop() + [.reportComputed(fail(.compute, index, error))]
    }
  }

  private mutating func computeNext(_ index: Int) -> [Action] {
    guard index < facts.count else {
      phase = .computed
      return [.reportComputed(nil)]
    }
    states[index] = .computing
    return [.compute(index)]
  }

  mutating func prepareRequested() -> [Action] {
    guard phase == .computed else { return [.reportPrepared(fail(.order("prepare"), nil, nil))] }
    phase = .preparing
    var actions: [Action] = []
    for index in facts.indices {
      guard case .computed(let outputs) = states[index] else { continue }
      if facts[index].sink == nil {
        states[index] = .committed
      } else {
        states[index] = .preparing(outputs)
        actions.append(.prepare(index, outputs))
      }
    }
    return actions.isEmpty ? preparedIfAll() : actions
  }

  mutating func prepared(_ index: Int, _ result: Result<any PreparedOutput, any Error>) -> [Action] {
    if case .abandoned(let outputs) = states[index] {
      states[index] = .dropped
      switch result {
      case .success(let late): return [.abort(index, late)]
      case .failure: return [.discard(index, outputs)]
      }
    }
    guard case .preparing(let outputs) = states[index] else { return [] }
    switch result {
    case .success(let prepared):
      states[index] = .prepared(prepared)
      return preparedIfAll()
    case .failure(let error):
      states[index] = .dropped
      if failure == nil { failure = fail(.prepare, index, error) }
      return [.discard(index, outputs)] + preparedIfAll()
    }
  }

  /// The phase ends when every sink has answered; where one could not, all others are aborted.
  private mutating func preparedIfAll() -> [Action] {
    for state in states {
      if case .preparing = state { return [] }
    }
    if let failure { return drop() + [.reportPrepared(failure)] }
    phase = .prepared
    return [.reportPrepared(nil)]
  }

  mutating func commitRequested() -> [Action] {
    guard phase == .prepared else {
      return [.reportCommitted(.undecided(fail(.order("commit"), nil, nil)))]
    }
    phase = .committing
    return commitNext()
  }

  private mutating func commitNext() -> [Action] {
    while position < steps.count {
      switch steps[position] {
      case .commit(let index):
        if case .prepared(let prepared) = states[index] {
          states[index] = .committing(prepared, attempt: 1)
          return [.commit(index, prepared)]
        }
        // The decider has committed it.
        position += 1
      case .decide: return [.decide(decidersShare())]
      }
    }
    phase = .ended
    return [.reportCommitted(late.isEmpty ? .committed : .decided(late: late))]
  }

  /// What the decider's sinks have prepared, nothing where none of them has a record.
  private mutating func decidersShare() -> [any PreparedOutput] {
    let sinks = facts.indices.filter { facts[$0].place == .withDecision }
    guard sinks.contains(where: { records[$0] > 0 }) else { return [] }
    return sinks.compactMap { index in
      guard case .prepared(let prepared) = states[index] else { return nil }
      states[index] = .deciding(prepared)
      return prepared
    }
  }

  mutating func decided(_ outcome: DecisionOutcome) -> [Action] {
    guard phase == .committing, !isDecided, position < steps.count, case .decide = steps[position] else { return [] }
    let share = states.indices.filter { if case .deciding = states[$0] { true } else { false } }
    switch outcome {
    case .decided:
      isDecided = true
      for index in share { states[index] = .committed }
      position += 1
      return commitNext()
    case .aborted(let error):
      // What the decider was given it has dropped itself.
      for index in share { states[index] = .dropped }
      return drop() + [.reportCommitted(.undecided(fail(.decide, share.first, error)))]
    case .unknown(let error):
      // Nothing is dropped: the batch may have happened, and then the next start completes it.
      for index in states.indices {
        switch states[index] {
        case .deciding, .prepared: states[index] = .uncommitted
        default: break
        }
      }
      phase = .ended
      return [.reportCommitted(.unknown(fail(.decide, share.first, error)))]
    }
  }

  mutating func committed(_ index: Int, _ error: (any Error)?) -> [Action] {
    guard case .committing(let prepared, let attempt) = states[index] else { return [] }
    guard let error else {
      states[index] = .committed
      position += 1
      return commitNext()
    }
    let isRetriable = (error as? any DiagnosableError)?.isRetriable ?? true
    if isRetriable, attempt < commitAttemptsMax {
      states[index] = .committing(prepared, attempt: attempt + 1)
      let delay = (1..<attempt).reduce(backoff) { delay, _ in min(delay * 2, backoffMax) }
      return [.retryCommit(index, after: delay)]
    }
    states[index] = .uncommitted
    let failure = fail(.commit(attempts: attempt), index, error)
    if !isDecided {
      // The sink that failed may have committed all the same, so it is not aborted.
      return drop() + [.reportCommitted(.undecided(failure))]
    }
    late.append(failure)
    position += 1
    return commitNext()
  }

  mutating func retryDue(_ index: Int) -> [Action] {
    guard case .committing(let prepared, _) = states[index] else { return [] }
    return [.commit(index, prepared)]
  }

  /// Drops what has not begun to commit. Once a commit has begun, the batch cannot be taken back, and nothing happens.
  mutating func abortRequested() -> [Action] {
    phase == .committing || phase == .ended ? [] : drop()
  }

  private mutating func drop() -> [Action] {
    phase = .ended
    var actions: [Action] = []
    for index in states.indices {
      switch states[index] {
      case .waiting, .computing: states[index] = .dropped
      case .computed(let outputs):
        if !outputs.isEmpty { actions.append(.discard(index, outputs)) }
        states[index] = .dropped
      case .preparing(let outputs): states[index] = .abandoned(outputs)
      case .prepared(let prepared):
        actions.append(.abort(index, prepared))
        states[index] = .dropped
      case .committing, .deciding, .committed, .uncommitted, .abandoned, .dropped: break
      }
    }
    return actions
  }

  private func fail(_ step: OutputFailure.Step, _ index: Int?, _ cause: (any Error)?) -> OutputFailure {
    OutputFailure(
      step: step, operation: index.map { facts[$0].name } ?? "", sink: index.flatMap { facts[$0].sink } ?? "",
      batch: batch, cause: cause)
  }
}
