import KafkaProtocol

/// What an error code means for a transactional producer, by the call that was answered with it.
///
/// The rows follow the handlers of Apache Kafka's `TransactionManager` (4.0), where KIP-360, KIP-588, KIP-654 and KIP-890
/// sorted them.
enum TransactionVerdict: Sendable, Equatable {
  /// The call did what it should.
  case done
  /// The same call may succeed later; the coordinator may have to be looked up again.
  case retry
  /// The transaction is lost; the producer goes on after aborting it.
  /// - bumps: only with another epoch, because something of the old one may still be under way.
  case abort(bumps: Bool)
  /// Somebody newer has taken over.
  case fenced
  /// The producer cannot go on.
  case fatal

  /// The calls that tell them apart.
  enum Call: Sendable, CaseIterable {
    case findCoordinator, initProducerID, addPartitions, addOffsets, commitOffsets, endTransaction, produce
  }

  init(_ code: KafkaErrorCode, on call: Call) {
    switch code {
    case .none: self = .done
    // A broker that fences a produce request knows less than the coordinator: the epoch may have been raised because the
    // transaction took too long. The abort that follows finds out who did it (KIP-588).
    case .invalidProducerEpoch: self = call == .produce ? .abort(bumps: true) : .fenced
    case .producerFenced: self = .fenced
    case .transactionalIDAuthorizationFailed, .clusterAuthorizationFailed, .unsupportedVersion,
      .invalidTransactionTimeout, .unsupportedForMessageFormat, .transactionCoordinatorFenced:
      self = .fatal
    case .transactionAbortable: self = call == .initProducerID ? .fatal : .abort(bumps: false)
    case .invalidProducerIDMapping, .unknownProducerID: self = call == .initProducerID ? .fatal : .abort(bumps: true)
    case _ where code.isRetriable: self = .retry
    default: self = TransactionVerdict.rest(code, call)
    }
  }

  /// Codes that pass for nobody and are no fencing: what is lost depends on the call.
  private static func rest(_ code: KafkaErrorCode, _ call: Call) -> TransactionVerdict {
    switch (call, code) {
    case (.findCoordinator, .groupAuthorizationFailed): .abort(bumps: false)
    case (.addPartitions, .invalidTxnState): .fatal
    case (.addPartitions, _): .abort(bumps: false)
    case (.addOffsets, .groupAuthorizationFailed): .abort(bumps: false)
    case (.commitOffsets, .groupAuthorizationFailed), (.commitOffsets, .topicAuthorizationFailed),
      (.commitOffsets, .fencedInstanceID), (.commitOffsets, .unknownMemberID), (.commitOffsets, .illegalGeneration),
      (.commitOffsets, .rebalanceInProgress), (.commitOffsets, .fencedMemberEpoch):
      .abort(bumps: false)
    case (.produce, _): .abort(bumps: true)
    default: .fatal
    }
  }
}
