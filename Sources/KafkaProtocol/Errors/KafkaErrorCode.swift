import WireFormat

/// A protocol error code (kafka.apache.org/protocol, "Error Codes"; complete up to Kafka 4.1).
///
/// A code that is not in the table is carried like any other and counts as fatal.
public struct KafkaErrorCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible, WireValue {
  public var rawValue: Int16
  public init(rawValue: Int16) { self.rawValue = rawValue }
  /// No error.
  public init() { rawValue = 0 }

  public mutating func code<C: FieldCoder & ~Copyable>(_ coder: inout C) throws(DecodeError) {
    try coder.code(&rawValue)
  }

  /// What a client does about an error.
  public enum Category: Sendable, Equatable {
    /// No error.
    case none
    /// The same request may succeed later, perhaps at another broker.
    case retriable
    /// Repeating the request cannot help.
    case fatal
    /// Somebody newer has taken over: this producer or member must not go on.
    case fencing
    /// The open transaction, or the order of an idempotent producer, is lost; the producer can start a new one.
    case abortable
  }

  /// The code's row, nil where the table has none.
  public var entry: Entry? {
    let index = Int(rawValue) + 1
    return KafkaErrorCode.table.indices.contains(index) ? KafkaErrorCode.table[index] : nil
  }

  /// What a client does about it; codes that the table lacks are fatal.
  public var category: Category { entry?.category ?? .fatal }
  /// Whether the code reports an error at all; -1, Kafka's unknown server error, does.
  public var isError: Bool { rawValue != 0 }
  public var isRetriable: Bool { category == .retriable }

  /// Whether the client's knowledge of topics and leaders is out of date: refresh it before the next attempt.
  public var asksForMetadata: Bool {
    switch self {
    case .unknownTopicOrPartition, .leaderNotAvailable, .notLeaderOrFollower, .replicaNotAvailable, .networkException,
      .kafkaStorageError, .listenerNotFound, .fencedLeaderEpoch, .unknownLeaderEpoch, .unknownTopicID,
      .inconsistentTopicID, .preferredLeaderNotAvailable, .eligibleLeadersNotAvailable:
      true
    default: false
    }
  }

  /// Whether the coordinator must be looked up again.
  public var asksForCoordinator: Bool { self == .notCoordinator || self == .coordinatorNotAvailable }

  /// The code's name, as Kafka writes it.
  public var name: String { entry?.name ?? "UNKNOWN_ERROR_\(rawValue)" }
  /// What happened, in words.
  public var message: String { entry?.message ?? "the broker reported error \(rawValue), which is not known here" }
  public var description: String { "\(name) (\(message))" }

  /// A row of the table.
  public struct Entry: Sendable {
    /// The code on the wire.
    public let code: KafkaErrorCode
    /// Kafka's name, such as `NOT_LEADER_OR_FOLLOWER`.
    public let name: String
    /// What a client does about it.
    public let category: Category
    /// What happened, in words, for a person.
    public let message: String

    init(_ code: Int16, _ name: String, _ category: Category, _ message: String) {
      self.code = KafkaErrorCode(rawValue: code)
      self.name = name
      self.category = category
      self.message = message
    }
  }
}

extension KafkaErrorCode {
  public static let unknownServerError = KafkaErrorCode(rawValue: -1)
  public static let none = KafkaErrorCode(rawValue: 0)
  public static let offsetOutOfRange = KafkaErrorCode(rawValue: 1)
  public static let corruptMessage = KafkaErrorCode(rawValue: 2)
  public static let unknownTopicOrPartition = KafkaErrorCode(rawValue: 3)
  public static let invalidFetchSize = KafkaErrorCode(rawValue: 4)
  public static let leaderNotAvailable = KafkaErrorCode(rawValue: 5)
  public static let notLeaderOrFollower = KafkaErrorCode(rawValue: 6)
  public static let requestTimedOut = KafkaErrorCode(rawValue: 7)
  public static let brokerNotAvailable = KafkaErrorCode(rawValue: 8)
  public static let replicaNotAvailable = KafkaErrorCode(rawValue: 9)
  public static let messageTooLarge = KafkaErrorCode(rawValue: 10)
  public static let staleControllerEpoch = KafkaErrorCode(rawValue: 11)
  public static let offsetMetadataTooLarge = KafkaErrorCode(rawValue: 12)
  public static let networkException = KafkaErrorCode(rawValue: 13)
  public static let coordinatorLoadInProgress = KafkaErrorCode(rawValue: 14)
  public static let coordinatorNotAvailable = KafkaErrorCode(rawValue: 15)
  public static let notCoordinator = KafkaErrorCode(rawValue: 16)
  public static let invalidTopicException = KafkaErrorCode(rawValue: 17)
  public static let recordListTooLarge = KafkaErrorCode(rawValue: 18)
  public static let notEnoughReplicas = KafkaErrorCode(rawValue: 19)
  public static let notEnoughReplicasAfterAppend = KafkaErrorCode(rawValue: 20)
  public static let invalidRequiredAcks = KafkaErrorCode(rawValue: 21)
  public static let illegalGeneration = KafkaErrorCode(rawValue: 22)
  public static let inconsistentGroupProtocol = KafkaErrorCode(rawValue: 23)
  public static let invalidGroupID = KafkaErrorCode(rawValue: 24)
  public static let unknownMemberID = KafkaErrorCode(rawValue: 25)
  public static let invalidSessionTimeout = KafkaErrorCode(rawValue: 26)
  public static let rebalanceInProgress = KafkaErrorCode(rawValue: 27)
  public static let invalidCommitOffsetSize = KafkaErrorCode(rawValue: 28)
  public static let topicAuthorizationFailed = KafkaErrorCode(rawValue: 29)
  public static let groupAuthorizationFailed = KafkaErrorCode(rawValue: 30)
  public static let clusterAuthorizationFailed = KafkaErrorCode(rawValue: 31)
  public static let invalidTimestamp = KafkaErrorCode(rawValue: 32)
  public static let unsupportedSaslMechanism = KafkaErrorCode(rawValue: 33)
  public static let illegalSaslState = KafkaErrorCode(rawValue: 34)
  public static let unsupportedVersion = KafkaErrorCode(rawValue: 35)
  public static let topicAlreadyExists = KafkaErrorCode(rawValue: 36)
  public static let invalidPartitions = KafkaErrorCode(rawValue: 37)
  public static let invalidReplicationFactor = KafkaErrorCode(rawValue: 38)
  public static let invalidReplicaAssignment = KafkaErrorCode(rawValue: 39)
  public static let invalidConfig = KafkaErrorCode(rawValue: 40)
  public static let notController = KafkaErrorCode(rawValue: 41)
  public static let invalidRequest = KafkaErrorCode(rawValue: 42)
  public static let unsupportedForMessageFormat = KafkaErrorCode(rawValue: 43)
  public static let policyViolation = KafkaErrorCode(rawValue: 44)
  public static let outOfOrderSequenceNumber = KafkaErrorCode(rawValue: 45)
  public static let duplicateSequenceNumber = KafkaErrorCode(rawValue: 46)
  public static let invalidProducerEpoch = KafkaErrorCode(rawValue: 47)
  public static let invalidTxnState = KafkaErrorCode(rawValue: 48)
  public static let invalidProducerIDMapping = KafkaErrorCode(rawValue: 49)
  public static let invalidTransactionTimeout = KafkaErrorCode(rawValue: 50)
  public static let concurrentTransactions = KafkaErrorCode(rawValue: 51)
  public static let transactionCoordinatorFenced = KafkaErrorCode(rawValue: 52)
  public static let transactionalIDAuthorizationFailed = KafkaErrorCode(rawValue: 53)
  public static let securityDisabled = KafkaErrorCode(rawValue: 54)
  public static let operationNotAttempted = KafkaErrorCode(rawValue: 55)
  public static let kafkaStorageError = KafkaErrorCode(rawValue: 56)
  public static let logDirNotFound = KafkaErrorCode(rawValue: 57)
  public static let saslAuthenticationFailed = KafkaErrorCode(rawValue: 58)
  public static let unknownProducerID = KafkaErrorCode(rawValue: 59)
  public static let reassignmentInProgress = KafkaErrorCode(rawValue: 60)
  public static let delegationTokenAuthDisabled = KafkaErrorCode(rawValue: 61)
  public static let delegationTokenNotFound = KafkaErrorCode(rawValue: 62)
  public static let delegationTokenOwnerMismatch = KafkaErrorCode(rawValue: 63)
  public static let delegationTokenRequestNotAllowed = KafkaErrorCode(rawValue: 64)
  public static let delegationTokenAuthorizationFailed = KafkaErrorCode(rawValue: 65)
  public static let delegationTokenExpired = KafkaErrorCode(rawValue: 66)
  public static let invalidPrincipalType = KafkaErrorCode(rawValue: 67)
  public static let nonEmptyGroup = KafkaErrorCode(rawValue: 68)
  public static let groupIDNotFound = KafkaErrorCode(rawValue: 69)
  public static let fetchSessionIDNotFound = KafkaErrorCode(rawValue: 70)
  public static let invalidFetchSessionEpoch = KafkaErrorCode(rawValue: 71)
  public static let listenerNotFound = KafkaErrorCode(rawValue: 72)
  public static let topicDeletionDisabled = KafkaErrorCode(rawValue: 73)
  public static let fencedLeaderEpoch = KafkaErrorCode(rawValue: 74)
  public static let unknownLeaderEpoch = KafkaErrorCode(rawValue: 75)
  public static let unsupportedCompressionType = KafkaErrorCode(rawValue: 76)
  public static let staleBrokerEpoch = KafkaErrorCode(rawValue: 77)
  public static let offsetNotAvailable = KafkaErrorCode(rawValue: 78)
  public static let memberIDRequired = KafkaErrorCode(rawValue: 79)
  public static let preferredLeaderNotAvailable = KafkaErrorCode(rawValue: 80)
  public static let groupMaxSizeReached = KafkaErrorCode(rawValue: 81)
  public static let fencedInstanceID = KafkaErrorCode(rawValue: 82)
  public static let eligibleLeadersNotAvailable = KafkaErrorCode(rawValue: 83)
  public static let electionNotNeeded = KafkaErrorCode(rawValue: 84)
  public static let noReassignmentInProgress = KafkaErrorCode(rawValue: 85)
  public static let groupSubscribedToTopic = KafkaErrorCode(rawValue: 86)
  public static let invalidRecord = KafkaErrorCode(rawValue: 87)
  public static let unstableOffsetCommit = KafkaErrorCode(rawValue: 88)
  public static let throttlingQuotaExceeded = KafkaErrorCode(rawValue: 89)
  public static let producerFenced = KafkaErrorCode(rawValue: 90)
  public static let resourceNotFound = KafkaErrorCode(rawValue: 91)
  public static let duplicateResource = KafkaErrorCode(rawValue: 92)
  public static let unacceptableCredential = KafkaErrorCode(rawValue: 93)
  public static let inconsistentVoterSet = KafkaErrorCode(rawValue: 94)
  public static let invalidUpdateVersion = KafkaErrorCode(rawValue: 95)
  public static let featureUpdateFailed = KafkaErrorCode(rawValue: 96)
  public static let principalDeserializationFailure = KafkaErrorCode(rawValue: 97)
  public static let snapshotNotFound = KafkaErrorCode(rawValue: 98)
  public static let positionOutOfRange = KafkaErrorCode(rawValue: 99)
  public static let unknownTopicID = KafkaErrorCode(rawValue: 100)
  public static let duplicateBrokerRegistration = KafkaErrorCode(rawValue: 101)
  public static let brokerIDNotRegistered = KafkaErrorCode(rawValue: 102)
  public static let inconsistentTopicID = KafkaErrorCode(rawValue: 103)
  public static let inconsistentClusterID = KafkaErrorCode(rawValue: 104)
  public static let transactionalIDNotFound = KafkaErrorCode(rawValue: 105)
  public static let fetchSessionTopicIDError = KafkaErrorCode(rawValue: 106)
  public static let ineligibleReplica = KafkaErrorCode(rawValue: 107)
  public static let newLeaderElected = KafkaErrorCode(rawValue: 108)
  public static let offsetMovedToTieredStorage = KafkaErrorCode(rawValue: 109)
  public static let fencedMemberEpoch = KafkaErrorCode(rawValue: 110)
  public static let unreleasedInstanceID = KafkaErrorCode(rawValue: 111)
  public static let unsupportedAssignor = KafkaErrorCode(rawValue: 112)
  public static let staleMemberEpoch = KafkaErrorCode(rawValue: 113)
  public static let mismatchedEndpointType = KafkaErrorCode(rawValue: 114)
  public static let unsupportedEndpointType = KafkaErrorCode(rawValue: 115)
  public static let unknownControllerID = KafkaErrorCode(rawValue: 116)
  public static let unknownSubscriptionID = KafkaErrorCode(rawValue: 117)
  public static let telemetryTooLarge = KafkaErrorCode(rawValue: 118)
  public static let invalidRegistration = KafkaErrorCode(rawValue: 119)
  public static let transactionAbortable = KafkaErrorCode(rawValue: 120)
  public static let invalidRecordState = KafkaErrorCode(rawValue: 121)
  public static let shareSessionNotFound = KafkaErrorCode(rawValue: 122)
  public static let invalidShareSessionEpoch = KafkaErrorCode(rawValue: 123)
  public static let fencedStateEpoch = KafkaErrorCode(rawValue: 124)
  public static let invalidVoterKey = KafkaErrorCode(rawValue: 125)
  public static let duplicateVoter = KafkaErrorCode(rawValue: 126)
  public static let voterNotFound = KafkaErrorCode(rawValue: 127)
  public static let invalidRegularExpression = KafkaErrorCode(rawValue: 128)
  public static let rebootstrapRequired = KafkaErrorCode(rawValue: 129)
  public static let streamsInvalidTopology = KafkaErrorCode(rawValue: 130)
  public static let streamsInvalidTopologyEpoch = KafkaErrorCode(rawValue: 131)
  public static let streamsTopologyFenced = KafkaErrorCode(rawValue: 132)
  public static let shareSessionLimitReached = KafkaErrorCode(rawValue: 133)
}
