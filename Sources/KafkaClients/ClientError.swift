import Groundwork
import KafkaProtocol
import SystemInterfaces

/// Why a call to Kafka did not succeed.
public struct ClientError: DiagnosableError, Equatable {
  /// Why, with what a message needs to say it.
  public enum Code: Sendable, Equatable {
    /// No broker of the list could be reached for this long; the text says why the last attempt failed.
    case unreachable([Address], after: Duration, reason: String)
    /// The connection ended before the answer came; whether the request was carried out is not known.
    case disconnected(Address, CloseReason)
    /// No connection could be opened.
    case cannotConnect(Address, reason: String)
    /// No answer came in time.
    case timedOut(APIKey, Address, after: Duration)
    /// The broker has no version of the call that is known here.
    case unsupportedCall(APIKey, Address)
    /// The broker answered with an error; the text says what was asked.
    case broker(KafkaErrorCode, String)
    /// The broker does not have the topic.
    case unknownTopic(String)
    /// The topic has no such partition.
    case unknownPartition(TopicPartition)
    /// The partition has no leader at the moment.
    case noLeader(TopicPartition)
    /// The broker with this number is not one of the cluster's.
    case unknownBroker(Int32)
    /// An answer that is not what the protocol says.
    case malformedAnswer(APIKey, Address, DecodeErrorText)
    /// A request that has no form on the wire.
    case unsendable(APIKey, DecodeErrorText)
    /// The client was closed.
    case closed
    /// The producer's buffer is full.
    case bufferFull(limit: Int)
    /// A record or batch is larger than `max.request.size`.
    case recordTooLarge(Int, limit: Int)
    /// Records could not be delivered within `delivery.timeout.ms`; the text is the last failure.
    case deliveryTimedOut(TopicPartition, after: Duration, last: String)
    /// The order of an idempotent producer is lost in a partition; the producer cannot go on.
    case sequenceLost(TopicPartition, KafkaErrorCode)
    /// A record batch that was given to the producer, or that came from a broker, is not one.
    case badRecordBatch(TopicPartition, String)
    /// A newer producer with this transactional id has taken over, or the coordinator has ended a transaction that took
    /// too long: the producer cannot go on.
    case producerFenced(String, KafkaErrorCode)
    /// Something failed inside the transaction of this transactional id: abort it, then the producer can go on.
    case transactionMustAbort(String, KafkaErrorCode?, cause: String)
    /// No answer to a commit came, so it may have been carried out; where `isFinal`, this producer cannot ask
    /// any more.
    case transactionOutcomeUnknown(String, isFinal: Bool, last: String)
    /// The transactional producer cannot go on.
    case transactionFailed(String, KafkaErrorCode?, cause: String)
    /// What was sent in the transaction was dropped with it.
    case transactionAborted(String)
    /// What the text names did not succeed in time; it may be asked for again.
    case transactionTimedOut(String, what: String, after: Duration, last: String)
    /// A call that the state of the transaction does not allow; the text says which and what comes first.
    case transactionMisuse(String, what: String)
  }

  /// Why.
  public var code: Code
  /// An error of this client, or of whoever is built on it.
  public init(_ code: Code) { self.code = code }

  /// The broker's error code, where it sent one.
  public var kafkaCode: KafkaErrorCode? {
    switch code {
    case .broker(let code, _), .sequenceLost(_, let code), .producerFenced(_, let code): code
    case .transactionMustAbort(_, let code, _), .transactionFailed(_, let code, _): code
    case .unknownTopic: .unknownTopicOrPartition
    default: nil
    }
  }

  public var fault: Fault {
    switch code {
    case .unreachable, .unknownTopic, .unknownPartition, .recordTooLarge, .closed, .unsupportedCall, .producerFenced:
      .user
    case .broker(let code, _):
      switch code {
      case .topicAlreadyExists, .invalidTopicException, .invalidPartitions, .invalidReplicationFactor, .invalidConfig,
        .topicAuthorizationFailed, .groupAuthorizationFailed, .clusterAuthorizationFailed, .policyViolation,
        .saslAuthenticationFailed, .nonEmptyGroup, .groupIDNotFound, .invalidGroupID,
        .transactionalIDAuthorizationFailed, .transactionalIDNotFound:
        .user
      default: .peer
      }
    case .unsendable, .badRecordBatch, .transactionMisuse: .ours
    default: .peer
    }
  }

  public var isRetriable: Bool {
    switch code {
    case .unreachable, .disconnected, .cannotConnect, .timedOut, .unknownTopic, .noLeader, .unknownBroker, .bufferFull,
      .transactionTimedOut:
      true
    case .transactionOutcomeUnknown(_, let isFinal, _): !isFinal
    case .broker(let code, _): code.isRetriable
    default: false
    }
  }

  public var leavesUsable: Bool {
    switch code {
    case .closed, .sequenceLost, .producerFenced, .transactionFailed: false
    case .transactionOutcomeUnknown(_, let isFinal, _): !isFinal
    default: true
    }
  }

  /// True for a transactional producer that cannot go on.
  public var needsRestart: Bool {
    switch code {
    case .producerFenced, .transactionFailed: true
    default: false
    }
  }

  /// Whether the producer's transaction must be aborted before it can go on.
  public var requiresAbort: Bool {
    if case .transactionMustAbort = code { true } else { false }
  }

  public var description: String {
    switch code {
    case .unreachable(let addresses, let duration, let reason):
      let list = addresses.map(\.description).joined(separator: ", ")
      return "cannot reach a Kafka broker at \(list) after \(duration.text): \(reason); start one with `sluice broker` "
        + "or check --bootstrap-server"
    case .disconnected(let address, let reason):
      return "the connection to the broker at \(address) ended before it answered: \(reason)"
    case .cannotConnect(let address, let reason): return "cannot connect to the broker at \(address): \(reason)"
    case .timedOut(let call, let address, let duration):
      return "the broker at \(address) did not answer \(call) within \(duration.text)"
    case .unsupportedCall(let call, let address):
      return "the broker at \(address) has no version of \(call) that is known here; brokers from Kafka 2.1 on do"
    case .broker(let code, let what): return "\(what): \(code.message) (\(code.name))"
    case .unknownTopic(let topic):
      return "there is no topic \(topic): create it with `sluice topics create`, or check its name with "
        + "`sluice topics list`"
    case .unknownPartition(let partition):
      return "topic \(partition.topic) has no partition \(partition.partition)"
    case .noLeader(let partition): return "partition \(partition) has no leader at the moment"
    case .unknownBroker(let id): return "the cluster has no broker \(id) at the moment"
    case .malformedAnswer(let call, let address, let error):
      return "the broker at \(address) answered \(call) with bytes that are no such answer: \(error.text)"
    case .unsendable(let call, let error): return "a \(call) request cannot be encoded: \(error.text)"
    case .closed: return "the Kafka client was closed"
    case .bufferFull(let limit):
      return "the producer's buffer of \(limit) bytes is full: wait for deliveries, or raise buffer.memory"
    case .recordTooLarge(let size, let limit):
      return "a record of \(size) bytes is more than the \(limit) that max.request.size allows"
    case .deliveryTimedOut(let partition, let duration, let last):
      return "records for \(partition) were not delivered within \(duration.text): \(last)"
    case .sequenceLost(let partition, let code):
      return
        "partition \(partition) no longer has what this producer sent before (\(code.name)): records may have been "
        + "lost by the broker; make a new producer and send again from the last confirmed record"
    case .badRecordBatch(let partition, let text): return "partition \(partition): \(text)"
    case .producerFenced, .transactionMustAbort, .transactionOutcomeUnknown, .transactionFailed, .transactionAborted,
      .transactionTimedOut, .transactionMisuse:
      return code.transactionText
    }
  }
}

/// The text of an error whose type belongs to another floor.
public struct DecodeErrorText: Sendable, Equatable {
  /// The error's description.
  public let text: String
  init(_ error: any Error) { text = String(describing: error) }
}
