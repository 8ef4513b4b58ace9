/// What a broker knows a producer by: the id it was given, and the epoch that tells it from its earlier incarnations.
public struct ProducerIdentity: Sendable, Hashable {
  /// The producer id.
  public var id: Int64
  /// Counts incarnations; a broker refuses what comes with an older one.
  public var epoch: Int16

  /// - Parameters:
  ///   - id: the producer id.
  ///   - epoch: the incarnation.
  public init(id: Int64, epoch: Int16) {
    self.id = id
    self.epoch = epoch
  }
}

/// A committed offset with its leader epoch and text, under the name that Kafka's producers know it by.
public typealias OffsetAndMetadata = Offsets.Committed

/// For whom offsets are committed in a transaction: a group, and the membership in it that must still hold (KIP-447).
public struct GroupMetadata: Sendable, Hashable {
  /// `group.id`
  public var groupID: String
  /// The generation the member is in; -1: the offsets are committed without a membership.
  public var generation: Int32
  /// As the coordinator gave it; empty without a membership.
  public var memberID: String
  /// `group.instance.id` of a static member.
  public var instanceID: String?

  /// - Parameters:
  ///   - groupID: `group.id`.
  ///   - generation: the member's; -1 without a membership, which fences nobody by the group.
  ///   - memberID: as the coordinator gave it; empty without a membership.
  ///   - instanceID: `group.instance.id` of a static member.
  public init(_ groupID: String, generation: Int32 = -1, memberID: String = "", instanceID: String? = nil) {
    self.groupID = groupID
    self.generation = generation
    self.memberID = memberID
    self.instanceID = instanceID
  }
}
