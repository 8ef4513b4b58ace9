import Groundwork
import KafkaProtocol
import SystemInterfaces

/// What is known of a cluster: its brokers, and of some topics the partitions with their leaders.
public struct ClusterMetadata: Sendable {
  /// One partition as the brokers describe it.
  public struct Partition: Sendable, Equatable {
    /// Its number within the topic, from 0.
    public var index: PartitionIndex
    /// -1: none at the moment.
    public var leader: Int32
    /// -1: not known.
    public var leaderEpoch: Int32
    /// Brokers that hold a copy, the preferred leader first.
    public var replicas: [Int32]
    /// Those of them that keep up with the leader.
    public var inSyncReplicas: [Int32]
    /// `none`, or why the partition cannot be used now, such as `leaderNotAvailable`.
    public var error: KafkaErrorCode
  }

  /// One topic as the brokers describe it.
  public struct Topic: Sendable, Equatable {
    /// The topic's name.
    public var name: String
    /// Zero where the broker is older than topic ids (Kafka 2.8).
    public var id: UUID128
    /// Whether it is Kafka's own, such as `__consumer_offsets`.
    public var isInternal: Bool
    /// By index.
    public var partitions: [Partition]
    /// `none`, or why nothing more is known, such as `unknownTopicOrPartition`.
    public var error: KafkaErrorCode
  }

  /// The cluster's identity; nil where the broker did not say or was not asked yet.
  public internal(set) var clusterID: String?
  /// -1: none known.
  public internal(set) var controller: Int32 = -1
  /// Addresses by broker number.
  public internal(set) var brokers: [Int32: Address] = [:]
  /// The topics that were asked for, by name; unknown ones carry their error.
  public internal(set) var topics: [String: Topic] = [:]
  /// When it was last asked for; nil: never.
  public internal(set) var updated: Instant?

  /// Nothing known yet.
  public init() {}

  /// The partition, nil where the topic or the partition is not known.
  public func partition(_ partition: TopicPartition) -> Partition? {
    guard let topic = topics[partition.topic] else { return nil }
    let index = Int(partition.partition.rawValue)
    if topic.partitions.indices.contains(index), topic.partitions[index].index == partition.partition {
      return topic.partitions[index]
    }
    return topic.partitions.first { $0.index == partition.partition }
  }

  /// The number of the partition's leader, nil where there is none or the partition is not known.
  public func leader(of partition: TopicPartition) -> Int32? {
    guard let found = self.partition(partition), found.leader >= 0, brokers[found.leader] != nil else { return nil }
    return found.leader
  }

  /// Takes over an answer: all brokers, and the topics it has.
  /// - Parameter isComplete: whether the answer was for all topics, so that what it lacks is gone.
  mutating func update(_ answer: MetadataResponse, isComplete: Bool, at now: Instant) {
    updated = now
    clusterID = answer.clusterID ?? clusterID
    controller = answer.controllerID
    brokers = [:]
    for broker in answer.brokers {
      brokers[broker.nodeID] = Address(host: broker.host, port: Int(broker.port))
    }
    if isComplete { topics = [:] }
    for topic in answer.topics {
      guard let name = topic.name else { continue }
      topics[name] = ClusterMetadata.topic(topic, named: name)
    }
  }

  static func topic(_ topic: MetadataResponse.MetadataResponseTopic, named name: String) -> Topic {
    let partitions = topic.partitions.map {
      Partition(
        index: PartitionIndex($0.partitionIndex), leader: $0.leaderID, leaderEpoch: $0.leaderEpoch,
        replicas: $0.replicaNodes, inSyncReplicas: $0.isrNodes, error: $0.errorCode)
    }
    return Topic(
      name: name, id: topic.topicID, isInternal: topic.isInternal,
      partitions: partitions.sorted { $0.index < $1.index }, error: topic.errorCode)
  }
}
