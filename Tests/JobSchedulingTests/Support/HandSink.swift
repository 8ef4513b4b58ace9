import Datasets
import Groundwork
import Synchronization

/// A sink that notes what is asked of it and answers by a script.
final class HandSink: Sink {
  struct Prepared: PreparedOutput {
    var batch: BatchIdentity
    var payloads: [String]
  }
  private struct State {
    var prepareErrors: [any Error]
    var commitErrors: [any Error]
    var waiting: [@Sendable () -> Void] = []
    var visible: [String] = []
  }
  let name: String
  let guarantee = OutputGuarantee(.exactlyOnce, reason: "made for a test")
  private let log: SinkLog
  private let answersLater: Bool
  private let state: Mutex<State>

  /// - Parameters:
  ///   - prepareErrors: what the first calls of `prepare` answer; the later ones succeed.
  ///   - answersLater: answers wait for `answer()`.
  init(
    _ name: String, _ log: SinkLog, prepareErrors: [any Error & Sendable] = [],
    commitErrors: [any Error & Sendable] = [],
    answersLater: Bool = false
  ) {
    self.name = name
    self.log = log
    self.answersLater = answersLater
    state = Mutex(State(prepareErrors: prepareErrors, commitErrors: commitErrors))
  }

  /// What was committed, in order.
  var visible: [String] { state.withLock { $0.visible } }

  func answer() {
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      return state.waiting
    }
    for then in waiting { then() }
  }

  private func reply(_ then: @escaping @Sendable () -> Void) {
    if answersLater { state.withLock { $0.waiting.append(then) } } else { then() }
  }

  func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void) { then(.success(nil)) }

  func prepare(
    _ batch: BatchIdentity, _ outputs: [TaskOutput],
    then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void
  ) {
    let payloads = outputs.map { "\($0.payload)" }
    log.note("\(name): prepare \(payloads.joined(separator: " "))")
    let error = state.withLock { $0.prepareErrors.isEmpty ? nil : $0.prepareErrors.removeFirst() }
    reply { then(error.map { .failure($0) } ?? .success(Prepared(batch: batch, payloads: payloads))) }
  }

  func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void) {
    log.note("\(name): commit")
    let error = state.withLock { state in
      if !state.commitErrors.isEmpty { return state.commitErrors.removeFirst() as (any Error)? }
      state.visible += (prepared as? Prepared)?.payloads ?? []
      return nil
    }
    reply { then(error) }
  }

  func abort(_ prepared: any PreparedOutput) { log.note("\(name): abort") }

  func discard(_ output: TaskOutput) { log.note("\(name): discard \(output.payload)") }
}

/// What several sinks were asked, in order.
final class SinkLog: Sendable {
  private let entries = Mutex<[String]>([])
  func note(_ entry: String) { entries.withLock { $0.append(entry) } }
  var all: [String] { entries.withLock { $0 } }
}

/// An error that says whether it may pass.
struct SinkError: DiagnosableError {
  var isRetriable = true
  var fault: Fault { .peer }
  var leavesUsable: Bool { true }
  var description: String { isRetriable ? "the broker is away" : "the disk is full" }
}
