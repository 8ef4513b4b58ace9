import Groundwork
import KafkaProtocol

// What a person reads of a transaction that did not go well, and what there is to do about it.
extension ClientError.Code {
  /// Empty for codes that have nothing to do with transactions.
  var transactionText: String {
    switch self {
    case .producerFenced(let id, let code):
      return "transactional id \(id): a newer producer has taken over (\(code.name)): probably another instance of the "
        + "job is running, or a transaction was open for longer than transaction.timeout.ms; see that one instance runs, "
        + "then start it again"
    case .transactionMustAbort(let id, _, let cause):
      return "the transaction of \(id) must be aborted, then its batch can be run again: \(cause)"
    case .transactionOutcomeUnknown(let id, false, let last):
      return "whether the transaction of \(id) was committed is not known (\(last)): commit it again to ask, the "
        + "answer will be the same for all who ask"
    case .transactionOutcomeUnknown(let id, true, let last):
      return "whether the transaction of \(id) was committed is not known, and this producer cannot ask any more "
        + "(\(last)): start again to read what was decided from the committed offsets"
    case .transactionFailed(let id, let code, let cause):
      return "the producer of transactional id \(id) cannot go on: \(cause)" + (code.map(advice) ?? "")
    case .transactionAborted(let id): return "dropped with the aborted transaction of \(id)"
    case .transactionTimedOut(let id, let what, let duration, let last):
      return "transactional id \(id): \(what) did not succeed within \(duration.text): \(last); it may be tried again"
    case .transactionMisuse(let id, let what): return "transactional id \(id): \(what)"
    default: return ""
    }
  }

  private func advice(_ code: KafkaErrorCode) -> String {
    switch code {
    case .transactionalIDAuthorizationFailed: "; allow Write and Describe on the transactional id"
    case .clusterAuthorizationFailed: "; allow IdempotentWrite on the cluster"
    case .invalidTransactionTimeout:
      "; set transaction.timeout.ms to no more than the brokers' transaction.max.timeout.ms"
    case .unsupportedVersion, .unsupportedForMessageFormat: "; the brokers are too old for transactions"
    default: "; make a new producer"
    }
  }
}
