import Sluice
import Synchronization

/// The most flown routes of a window, as far as its flights have come.
struct Ranking: Sendable {
  /// The window's beginning, milliseconds since 1970.
  var start: Int64
  /// Flights of all routes.
  var flights: Int
  var top: [RouteCount]

  /// One line of JSON, keyed by the window's beginning: the last record of a key stands.
  func record(_ length: Duration) -> ProducerRecord {
    let routes = top.map { "{\"route\":\"\($0.route)\",\"flights\":\($0.flights)}" }.joined(separator: ",")
    return ProducerRecord(
      key: Bytes("\(Timestamp(milliseconds: start))"),
      value: """
        {"window_start":\(start),"window_end":\(start + length.inMilliseconds),"flights":\(flights),"top":[\(routes)]}
        """)
  }
}

/// The last ranking of each window; batches add to it on the driver.
final class LatestRankings: Sendable {
  private let rankings = Mutex<[Int64: Ranking]>([:])

  func add(_ batch: [Ranking]) {
    rankings.withLock { for ranking in batch { $0[ranking.start] = ranking } }
  }

  /// A row a window, with its first three routes.
  var table: String {
    var table = TextTable([("from", .left), ("flights", .right), ("most flown", .left)])
    for (_, ranking) in rankings.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
      let first = ranking.top.prefix(3).map { "\($0.route) \($0.flights)" }.joined(separator: "  ")
      table.add(["\(Timestamp(milliseconds: ranking.start))", "\(ranking.flights)", first])
    }
    return table.text
  }
}
