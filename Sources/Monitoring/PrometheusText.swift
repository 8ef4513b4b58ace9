import Groundwork

/// Builds a page in Prometheus's text format, version 0.0.4 (prometheus.io, "Exposition formats"): each metric once, with
/// its help and type, then its samples.
struct PrometheusText {
  /// What scrapers expect.
  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  enum Kind: String {
    case counter, gauge, histogram
  }

  private(set) var text = ""

  /// One metric; `samples` have labels in the order in which they are to stand.
  mutating func add(
    _ name: String, _ kind: Kind, _ help: String, _ samples: [(labels: [(String, String)], value: Double)]
  ) {
    guard !samples.isEmpty else { return }
    head(name, kind, help)
    for sample in samples { line(name, sample.labels, sample.value) }
  }

  /// One metric without labels; a nil value leaves it out.
  mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: Double?) {
    if let value { add(name, kind, help, [([], value)]) }
  }

  /// A histogram.
  mutating func add(_ name: String, _ help: String, _ histogram: Histogram) {
    head(name, .histogram, help)
    var below = 0
    for (bound, count) in zip(Histogram.bounds, histogram.counts) {
      below += count
      line("\(name)_bucket", [("le", PrometheusText.number(bound))], Double(below))
    }
    line("\(name)_bucket", [("le", "+Inf")], Double(histogram.count))
    line("\(name)_sum", [], histogram.sum)
    line("\(name)_count", [], Double(histogram.count))
  }

  private mutating func head(_ name: String, _ kind: Kind, _ help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
  }

  private mutating func line(_ name: String, _ labels: [(String, String)], _ value: Double) {
    text += name
    if !labels.isEmpty {
      text += "{" + labels.map { "\($0.0)=\"\(PrometheusText.escaped($0.1))\"" }.joined(separator: ",") + "}"
    }
    text += " \(PrometheusText.number(value))\n"
  }

  private static func number(_ value: Double) -> String {
    if let whole = Int64(exactly: value) { return "\(whole)" }
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return "\(value)"
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.append(character)
      }
    }
    return result
  }
}

/// How often durations fell into each of fixed buckets, in seconds.
struct Histogram: Sendable, Equatable {
  static let bounds: [Double] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
  ]
  /// Below or at each bound, and above the one before.
  private(set) var counts = Array(repeating: 0, count: bounds.count)
  private(set) var count = 0
  private(set) var sum = 0.0

  mutating func add(_ seconds: Double) {
    count += 1
    sum += seconds
    if let index = Histogram.bounds.firstIndex(where: { seconds <= $0 }) { counts[index] += 1 }
  }
}
