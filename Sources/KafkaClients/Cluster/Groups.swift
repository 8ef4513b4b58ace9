import Groundwork
import KafkaProtocol
import SystemInterfaces

/// Consumer groups: who is in them. On the client's loop.
public struct Groups: Sendable {
  /// Whose connections are used.
  public let client: KafkaClient
  /// Asks through this client.
  public init(_ client: KafkaClient) { self.client = client }

  /// A member as its coordinator describes it.
  public struct Member: Sendable, Equatable {
    /// As the coordinator gave it.
    public var id: String
    /// `client.id`
    public var clientID: String
    /// Where it comes from, as the coordinator sees it: `/10.0.0.7`.
    public var host: String
    /// Made by `describe`, and by tests.
    public init(id: String, clientID: String, host: String) {
      self.id = id
      self.clientID = clientID
      self.host = host
    }
  }

  /// A group as its coordinator describes it.
  public struct Description: Sendable, Equatable {
    /// `Empty`, `Stable`, `Dead` and so on.
    public var state: String
    /// Those that are in it now.
    public var members: [Member]
  }

  /// Describes one group; one that nobody knows is `Dead` and has no members.
  public func describe(
    _ group: String, deadline: Instant? = nil, then: @escaping @Sendable (Result<Description, ClientError>) -> Void
  ) {
    var request = DescribeGroupsRequest()
    request.groups = [group]
    let sent = request
    let client = client
    client.retrying(
      until: deadline,
      { done in
        client.sendOnce(sent, to: .coordinator(group: group)) { result in
          done(
            result.flatMap { answer in
              guard let found = answer.groups.first else { return .success(Description(state: "Dead", members: [])) }
              if found.errorCode == .groupIDNotFound { return .success(Description(state: "Dead", members: [])) }
              if found.errorCode.isError {
                client.forgetWhatIsStale(found.errorCode, group: group)
                return .failure(ClientError(.broker(found.errorCode, "describing group \(group)")))
              }
              return .success(
                Description(
                  state: found.groupState,
                  members: found.members.map { Member(id: $0.memberID, clientID: $0.clientID, host: $0.clientHost) }))
            })
        }
      }, then: then)
  }
}
