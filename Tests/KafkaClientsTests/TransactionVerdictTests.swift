import KafkaProtocol
import Testing

@testable import KafkaClients

/// What each error code means on each call, for all codes: the rows name what is special, the rest follows one rule.
@Suite struct TransactionVerdictTests {
  typealias Verdict = TransactionVerdict

  private static let fatalAnywhere: Set<KafkaErrorCode> = [
    .transactionalIDAuthorizationFailed, .clusterAuthorizationFailed, .unsupportedVersion, .invalidTransactionTimeout,
    .unsupportedForMessageFormat, .transactionCoordinatorFenced,
  ]
  private static let fencing: Set<KafkaErrorCode> = [.producerFenced, .invalidProducerEpoch]
  /// Lost with the transaction, without another epoch.
  private static let abortable: [Verdict.Call: Set<KafkaErrorCode>] = [
    .findCoordinator: [.groupAuthorizationFailed, .transactionAbortable],
    .initProducerID: [],
    .addOffsets: [.groupAuthorizationFailed, .transactionAbortable],
    .commitOffsets: [
      .groupAuthorizationFailed, .topicAuthorizationFailed, .fencedInstanceID, .unknownMemberID, .illegalGeneration,
      .rebalanceInProgress, .fencedMemberEpoch, .transactionAbortable,
    ],
    .endTransaction: [.transactionAbortable],
    .produce: [.transactionAbortable],
  ]

  @Test(arguments: Verdict.Call.allCases) func everyCode(call: Verdict.Call) {
    var wrong: [String] = []
    for entry in KafkaErrorCode.table {
      let code = entry.code
      let expected: Verdict
      if code == .none {
        expected = .done
      } else if code == .invalidProducerEpoch, call == .produce {
        expected = .abort(bumps: true)
      } else if Self.fencing.contains(code) {
        expected = .fenced
      } else if Self.fatalAnywhere.contains(code) {
        expected = .fatal
      } else if code == .unknownProducerID || code == .invalidProducerIDMapping {
        expected = call == .initProducerID ? .fatal : .abort(bumps: true)
      } else if Self.abortable[call]?.contains(code) == true {
        expected = .abort(bumps: false)
      } else if code.isRetriable {
        expected = .retry
      } else if call == .addPartitions {
        expected = code == .invalidTxnState ? .fatal : .abort(bumps: false)
      } else if call == .produce {
        expected = .abort(bumps: true)
      } else {
        expected = .fatal
      }
      let verdict = Verdict(code, on: call)
      if verdict != expected { wrong.append("\(code.name): \(verdict), expected \(expected)") }
    }
    #expect(wrong == [])
  }

  @Test func theTextsSayWhatToDoNext() {
    func text(_ code: ClientError.Code) -> String { ClientError(code).description }
    #expect(
      text(.producerFenced("job-1", .producerFenced))
        == "transactional id job-1: a newer producer has taken over (PRODUCER_FENCED): probably another instance of the "
        + "job is running, or a transaction was open for longer than transaction.timeout.ms; see that one instance runs, "
        + "then start it again")
    #expect(
      text(.transactionFailed("job-1", .invalidTransactionTimeout, cause: "no"))
        == "the producer of transactional id job-1 cannot go on: no; set transaction.timeout.ms to no more than the "
        + "brokers' transaction.max.timeout.ms")
    #expect(
      text(.transactionOutcomeUnknown("job-1", isFinal: true, last: "no answer"))
        == "whether the transaction of job-1 was committed is not known, and this producer cannot ask any more (no "
        + "answer): start again to read what was decided from the committed offsets")
    #expect(text(.transactionMustAbort("job-1", nil, cause: "lost")).contains("must be aborted"))
    #expect(ClientError(.transactionMustAbort("j", .illegalGeneration, cause: "")).requiresAbort)
    #expect(!ClientError(.producerFenced("j", .producerFenced)).leavesUsable)
    #expect(ClientError(.transactionOutcomeUnknown("j", isFinal: false, last: "")).isRetriable)
    #expect(!ClientError(.transactionOutcomeUnknown("j", isFinal: true, last: "")).isRetriable)
  }
}
