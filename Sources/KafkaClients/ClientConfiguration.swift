import Groundwork
import SystemInterfaces

/// How a client finds its cluster and how patient it is. The names in the comments are Kafka's.
public struct ClientConfiguration: Sendable {
  /// `bootstrap.servers`, tried in order, round and round.
  public var bootstrap: [Address]
  /// `client.id`
  public var clientID: String
  /// How long to look for a first broker before calls fail with `unreachable`.
  public var bootstrapTimeout: Duration = .seconds(10)
  /// `request.timeout.ms`: how long one request may take on one connection.
  public var requestTimeout: Duration = .seconds(30)
  /// `default.api.timeout.ms`: how long a call may take with all its attempts.
  public var callTimeout: Duration = .seconds(60)
  /// `retry.backoff.ms`
  public var retryBackoff: Duration = .milliseconds(100)
  /// `retry.backoff.max.ms`
  public var retryBackoffMax: Duration = .seconds(1)
  /// `reconnect.backoff.ms`
  public var reconnectBackoff: Duration = .milliseconds(50)
  /// `reconnect.backoff.max.ms`
  public var reconnectBackoffMax: Duration = .seconds(1)
  /// `socket.connection.setup.timeout.ms`: to be connected and to know the broker's versions.
  public var connectionSetupTimeout: Duration = .seconds(10)
  /// `max.in.flight.requests.per.connection`
  public var inFlightMax = 5
  /// `metadata.max.age.ms`
  public var metadataAgeMax: Duration = .seconds(300)
  /// How long a topic that the cluster does not have is waited for: it may just have been made.
  public var unknownTopicTimeout: Duration = .seconds(3)
  /// `allow.auto.create.topics`: whether asking for a topic may make it.
  public var allowsAutoTopicCreation = false
  /// The largest answer taken, in bytes. Fetches are bounded by their own limits; this bounds a broken peer.
  public var answerSizeMax = 256 << 20

  /// - Parameters:
  ///   - bootstrap: where the cluster is looked for first.
  ///   - clientID: `client.id`, which brokers log and measure by.
  public init(bootstrap: [Address], clientID: String = "sluice") {
    self.bootstrap = bootstrap
    self.clientID = clientID
  }

  /// Between attempts that wait for something to recover.
  var backoff: Backoff { Backoff(base: retryBackoff, max: retryBackoffMax) }
  /// Between attempts that wait for the end of another transaction, which is a matter of its markers: that may be well
  /// under a millisecond, so the pauses grow from half of one.
  var quickBackoff: Backoff { Backoff(base: .microseconds(500), max: retryBackoff) }
}
