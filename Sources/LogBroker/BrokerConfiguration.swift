import Groundwork
import LogStorage
import SystemInterfaces

/// How the embedded broker is set up.
public struct BrokerConfiguration: Sendable {
  /// Where it listens; port 0: any free one.
  public var listenAddress = Address(host: "127.0.0.1", port: 9092)
  /// The host that clients are told; nil: that of the listen address.
  public var advertisedHost: String?
  /// The folder it lives in, locked while it runs.
  public var dataDirectory: String
  /// This process, for the text of the lock; only the operating system's own layer can ask for it.
  public var processID: Int
  /// `num.partitions` of topics made on demand, or asked for with -1.
  public var defaultPartitionCount = 1
  /// `auto.create.topics.enable`.
  public var createsTopicsOnDemand = true
  /// What topics have where their own settings say nothing.
  public var topicDefaults = LogConfiguration()
  /// When acknowledged records are durable.
  public var flushPolicy = FlushPolicy.os
  /// `node.id`.
  public var nodeID: Int32 = 1
  /// `log.retention.check.interval.ms`.
  public var retentionCheckInterval: Duration = .seconds(300)
  /// `group.initial.rebalance.delay.ms`. Kafka waits 3 s for more members; here the first one need not.
  public var groupInitialRebalanceDelay: Duration = .zero
  /// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
  public var groupSessionTimeouts: ClosedRange<Duration> = .seconds(6) ... .seconds(1800)
  /// `offset.metadata.max.bytes`.
  public var offsetMetadataBytesMax = 4096
  /// `transaction.max.timeout.ms`: no producer may keep a transaction open for longer.
  public var transactionTimeoutMax: Duration = .seconds(900)
  /// `transactional.id.expiration.ms`: after how long an idle transactional id is forgotten.
  public var transactionalIDExpiration: Duration = .seconds(7 * 86_400)
  /// `transaction.version`, as producers are told: 2 has KIP-890, with which a produce adds its partitions to the
  /// transaction and every end of a transaction raises the epoch; 1 is the protocol of before Kafka 4.0.
  public var transactionVersion: Int16 = 2
  /// `fetch.max.bytes`: the most a Fetch is answered with, however much it asks for.
  public var fetchBytesMax = 55 << 20
  /// `socket.request.max.bytes`: a longer request closes its connection.
  public var requestBytesMax = 100 << 20
  /// Bytes of the newest batches kept in memory.
  public var hotTailBytes = 64 << 20
  /// Bytes queued for one connection above which nothing more is read from it.
  public var queuedBytesMax = 8 << 20
  /// Requests of one connection that may wait for their answers.
  public var pendingRequestsMax = 64
  /// Partitions of all topics together: each takes files and memory, and a request may ask for any number.
  public var partitionCountMax = 10_000
  /// Hears what the broker has to say; called on its loop, and by `start`.
  public var log: @Sendable (BrokerLogLine) -> Void = { _ in }
  /// Hears of a disk that has refused producers' records for 3 s, with the last refusal, and again with each further one:
  /// for a process that has more to do than to serve. Called on the broker's loop.
  public var storageFailed: @Sendable (LogError) -> Void = { _ in }

  /// - Parameters:
  ///   - dataDirectory: the folder it lives in; made if need be.
  ///   - processID: the id of this process.
  public init(dataDirectory: String, processID: Int) {
    self.dataDirectory = dataDirectory
    self.processID = processID
  }
}

/// Something the broker has to say.
public struct BrokerLogLine: Sendable, CustomStringConvertible {
  /// `warning`: something failed, or was refused or cut off, that an operator should look at; `info`: anything else.
  public enum Level: Sendable { case info, warning }
  /// How grave it is.
  public var level: Level
  /// One line, without the level and without a line end.
  public var text: String
  public var description: String { level == .info ? text : "warning: \(text)" }
}
