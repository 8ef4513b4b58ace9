import Testing

/// A strict reader of Prometheus's text format, with the rules of `promtool check metrics` that a page can break: what it
/// finds wrong, and the samples.
struct PrometheusParser {
  struct Sample: Hashable {
    var name: String
    var labels: [String: String]
  }
  private(set) var samples: [Sample: Double] = [:]
  private(set) var flaws: [String] = []
  /// By metric.
  private(set) var kinds: [String: String] = [:]
  private var helps: [String: String] = [:]
  private var current = ""
  private var done: Set<String> = []
  private var bucketsOfLast: (key: Sample, bounds: [(Double, Double)])?

  init(_ page: String) {
    if !page.hasSuffix("\n") { flaws.append("the last line does not end") }
    for line in page.split(separator: "\n", omittingEmptySubsequences: false).dropLast() { read(String(line)) }
    endHistogram()
    for (name, kind) in kinds where !samples.keys.contains(where: { family($0.name) == name }) {
      flaws.append("\(kind) \(name) has no samples")
    }
  }

  private mutating func read(_ line: String) {
    if line.hasPrefix("# HELP ") {
      let words = line.dropFirst(7).split(separator: " ", maxSplits: 1).map(String.init)
      guard words.count == 2, !words[1].isEmpty else { return fail(line, "no help text") }
      if helps.updateValue(words[1], forKey: words[0]) != nil { fail(line, "a second HELP") }
      begin(words[0], line)
      lint(words[0], line)
    } else if line.hasPrefix("# TYPE ") {
      let words = line.dropFirst(7).split(separator: " ").map(String.init)
      guard words.count == 2, ["counter", "gauge", "histogram"].contains(words[1]) else { return fail(line, "no type") }
      if helps[words[0]] == nil || current != words[0] { fail(line, "TYPE does not follow its HELP") }
      if kinds.updateValue(words[1], forKey: words[0]) != nil { fail(line, "a second TYPE") }
      if (words[1] == "counter") != words[0].hasSuffix("_total") {
        fail(line, "counters, and only they, end in _total")
      }
    } else {
      readSample(line)
    }
  }

  private mutating func begin(_ name: String, _ line: String) {
    endHistogram()
    if !current.isEmpty { done.insert(current) }
    if done.contains(name) { fail(line, "its lines do not stand together") }
    current = name
  }

  private mutating func lint(_ name: String, _ line: String) {
    if !isName(name, colons: true) { fail(line, "not a name") }
    if !name.hasPrefix("sluice_") { fail(line, "no prefix") }
    for ending in ["_count", "_sum", "_bucket"] where name.hasSuffix(ending) { fail(line, "ends in \(ending)") }
    let words = name.split(separator: "_").map(String.init)
    let wrong = [
      "milliseconds", "ms", "microseconds", "minutes", "hours", "kilobytes", "megabytes", "kb", "mb", "percent",
      "counter", "gauge", "histogram",
    ]
    for word in words where wrong.contains(word) { fail(line, "no base unit, or its type: \(word)") }
    // A unit stands at the end, before _total.
    let tail = words.last == "total" ? words.dropLast().last : words.last
    for unit in ["seconds", "bytes"] where words.contains(unit) && tail != unit {
      fail(line, "\(unit) is not at the end")
    }
  }

  private mutating func readSample(_ line: String) {
    guard let space = line.lastIndex(of: " "), let value = number(String(line[line.index(after: space)...])) else {
      return fail(line, "no value")
    }
    let left = line[..<space]
    let name = String(left.prefix { $0 != "{" })
    if !isName(name, colons: true) { fail(line, "not a name") }
    guard let labels = labels(left.dropFirst(name.count)) else { return fail(line, "labels") }
    if family(name) != current || kinds[current] == nil { fail(line, "stands under \(current)") }
    if labels["le"] != nil, !name.hasSuffix("_bucket") { fail(line, "le") }
    if samples.updateValue(value, forKey: Sample(name: name, labels: labels)) != nil { fail(line, "twice") }
    if kinds[current] == "counter", value < 0 { fail(line, "a counter below zero") }
    if name.hasSuffix("_bucket"), let bound = labels["le"].flatMap(number) {
      addBucket(name, labels, bound, value, line)
    }
  }

  private mutating func addBucket(
    _ name: String, _ labels: [String: String], _ bound: Double, _ value: Double, _ line: String
  ) {
    var rest = labels
    rest["le"] = nil
    let key = Sample(name: name, labels: rest)
    if bucketsOfLast?.key != key {
      endHistogram()
      bucketsOfLast = (key, [])
    }
    if let last = bucketsOfLast?.bounds.last, last.0 >= bound || last.1 > value { fail(line, "buckets do not grow") }
    bucketsOfLast?.bounds.append((bound, value))
  }

  private mutating func endHistogram() {
    guard let buckets = bucketsOfLast else { return }
    bucketsOfLast = nil
    let name = String(buckets.key.name.dropLast("_bucket".count))
    let count = samples[Sample(name: name + "_count", labels: buckets.key.labels)]
    if buckets.bounds.last?.0 != .infinity || buckets.bounds.last?.1 != count {
      flaws.append("\(name): +Inf is not the count")
    }
    if samples[Sample(name: name + "_sum", labels: buckets.key.labels)] == nil { flaws.append("\(name) has no sum") }
  }

  /// The metric that a sample belongs to.
  private func family(_ name: String) -> String {
    for ending in ["_bucket", "_sum", "_count"] where name.hasSuffix(ending) {
      let base = String(name.dropLast(ending.count))
      if kinds[base] == "histogram" { return base }
    }
    return name
  }

  private func isName(_ text: String, colons: Bool) -> Bool {
    guard let first = text.utf8.first, !(48...57).contains(first) else { return false }
    return text.utf8.allSatisfy { byte in
      (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 95
        || (colons && byte == 58)
    }
  }

  private func number(_ text: String) -> Double? {
    switch text {
    case "+Inf": .infinity
    case "-Inf": -.infinity
    case "NaN": .nan
    default: text.allSatisfy { "0123456789+-.eE".contains($0) } ? Double(text) : nil
    }
  }

  /// `{name="value",…}`, nil where it is anything else; none where the text is empty.
  private func labels(_ text: Substring) -> [String: String]? {
    if text.isEmpty { return [:] }
    guard text.first == "{", text.last == "}" else { return nil }
    var found: [String: String] = [:]
    var rest = text.dropFirst()
    while rest != "}" {
      let name = String(rest.prefix { $0 != "=" })
      rest = rest.dropFirst(name.count)
      guard isName(name, colons: false), !name.hasPrefix("__"), rest.hasPrefix("=\"") else { return nil }
      rest = rest.dropFirst(2)
      var value = ""
      while let next = rest.first, next != "\"" {
        rest = rest.dropFirst()
        guard next == "\\" else {
          value.append(next)
          continue
        }
        switch rest.popFirst() {
        case "\\": value.append("\\")
        case "\"": value.append("\"")
        case "n": value.append("\n")
        default: return nil
        }
      }
      guard rest.popFirst() == "\"", found.updateValue(value, forKey: name) == nil else { return nil }
      if rest.first == "," {
        rest = rest.dropFirst()
        if rest == "}" { return nil }
      } else if rest != "}" {
        return nil
      }
    }
    return found
  }

  private mutating func fail(_ line: String, _ why: String) { flaws.append("\(why): \(line)") }

  /// The value of a sample; nil where there is none.
  subscript(_ name: String, _ labels: [String: String] = [:]) -> Double? {
    samples[Sample(name: name, labels: labels)]
  }
}

/// The reader finds what is wrong: a page without flaws says something.
@Suite struct PrometheusParserTests {
  @Test(arguments: [
    ("# HELP sluice_a_total A.\n# TYPE sluice_a_total gauge\nsluice_a_total 1\n", "counters"),
    ("# HELP sluice_a A.\n# TYPE sluice_a counter\nsluice_a 1\n", "counters"),
    ("# HELP sluice_a_ms A.\n# TYPE sluice_a_ms gauge\nsluice_a_ms 1\n", "base unit"),
    ("# HELP sluice_seconds_a A.\n# TYPE sluice_seconds_a gauge\nsluice_seconds_a 1\n", "not at the end"),
    ("# TYPE sluice_a gauge\nsluice_a 1\n", "HELP"), ("sluice_a 1\n", "stands under"),
    ("# HELP sluice_a A.\n# TYPE sluice_a gauge\nsluice_a 1\nsluice_a 2\n", "twice"),
    ("# HELP sluice_a A.\n# TYPE sluice_a gauge\nsluice_a{b=\"c} 1\n", "labels"),
    ("# HELP sluice_a A.\n# TYPE sluice_a gauge\nsluice_a{b=\"c\",} 1\n", "labels"),
    ("# HELP sluice_a A.\n# TYPE sluice_a gauge\nsluice_a one\n", "no value"),
    ("# HELP sluice_a A.\n# TYPE sluice_a gauge\n", "no samples"),
    (
      "# HELP sluice_a A.\n# TYPE sluice_a histogram\nsluice_a_bucket{le=\"1\"} 3\nsluice_a_bucket{le=\"+Inf\"} 2\n"
        + "sluice_a_sum 1\nsluice_a_count 2\n", "grow"
    ),
    (
      "# HELP sluice_a A.\n# TYPE sluice_a histogram\nsluice_a_bucket{le=\"+Inf\"} 2\nsluice_a_sum 1\n"
        + "sluice_a_count 3\n", "+Inf"
    ),
  ])
  func flawsAreFound(page: String, flaw: String) {
    let parser = PrometheusParser(page)
    #expect(parser.flaws.contains { $0.contains(flaw) }, "\(parser.flaws)")
  }
}
