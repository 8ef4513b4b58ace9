/// How the network behaves; may be changed at any time.
///
/// TCP neither loses nor doubles nor reorders bytes within a connection, and nor does this network. What tests of
/// datagrams call lost, delayed and duplicated packets shows to a user of TCP so:
/// - **lost**: the connection is cut; what was under way, requests or acknowledgements, is gone (`cutProbability`), or
///   first nothing arrives for a while and then the connection is reset (`partition`);
/// - **delayed**: `latency`, `spikeProbability`, a slow link, and the late delivery after a cut: one side hears of the
///   reset at once, the other still receives what was under way, later, when the request may have been sent again
///   (`lateDeliveryProbability`);
/// - **duplicated**: at a cut the last whole frames of the client's side arrive once more on a connection that nobody
///   reads (`replayProbability`), as when a proxy or a retry beneath the caller repeats them.
public struct NetworkConditions: Sendable {
  /// One way, drawn anew for each flight of bytes.
  public var latency: ClosedRange<Duration> = .microseconds(50) ... .microseconds(200)
  /// The speed of each direction of each connection; nil is without limit.
  public var bytesPerSecond: Int64?
  /// Bytes under way or unread in one direction before the sender's queue stands.
  public var windowMax = 256 * 1024
  /// That bytes arrive in two pieces, cut anywhere.
  public var splitProbability = 0.0
  /// That a flight takes `spike` longer.
  public var spikeProbability = 0.0
  /// How much longer than its drawn latency such a flight takes.
  public var spike: Duration = .milliseconds(200)
  /// That the connection is cut at a flight of bytes: a random part of it still arrives.
  public var cutProbability = 0.0
  /// That after a cut what was under way arrives up to `lateDeliveryMax` later at the one side, while the other has
  /// heard of the reset.
  public var lateDeliveryProbability = 0.0
  /// The bound of such a delay, and of that of a replayed connection; the delay itself is drawn from the seed.
  public var lateDeliveryMax: Duration = .seconds(2)
  /// That after a cut the client's last frames arrive once more on a connection of their own.
  public var replayProbability = 0.0
  /// That a connection is refused although somebody listens.
  public var refuseProbability = 0.0
  /// After this time a connect into a partition fails as unreachable.
  public var connectTimeout: Duration = .seconds(10)
  /// After this time a connection across a partition is reset at both ends.
  public var partitionTimeout: Duration = .seconds(15)
  /// Names that do not resolve.
  public var unresolvableHosts: Set<String> = []

  /// A network without faults; `cutConnections` and partitions still act.
  public init() {}

  /// Cuts, spikes, splits, late and doubled deliveries, all at the same rate.
  public static func hostile(_ rate: Double) -> NetworkConditions {
    var conditions = NetworkConditions()
    conditions.splitProbability = min(1, rate * 10)
    conditions.spikeProbability = rate
    conditions.cutProbability = rate
    conditions.lateDeliveryProbability = 0.5
    conditions.replayProbability = 0.25
    conditions.refuseProbability = rate
    return conditions
  }
}
