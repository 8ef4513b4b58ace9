import Datasets
import Groundwork

// The form in the logs, one item a line, so that a person can read what `sluice checkpoint show` reads:
//
//     batch 12 time=1357002000000 previous=1357001999000 interval=1000 records=18 outcome=committed
//     source topics flights
//     input records=18 bytes=2048
//     range flights-0 12 30 records=18 hash=5f0e3c2a11d7b809
//     detail file=/data/a.txt size=12
//     limit sluice.kafka.maxRatePerPartition=9
//     note watermark clicks: 1357001990000

extension BatchRecord {
  /// The record as text.
  package var text: String {
    var lines: [String] = []
    var head = "batch \(batch.number) time=\(batch.time.milliseconds)"
    if let previousTime { head += " previous=\(previousTime.milliseconds)" }
    head += " interval=\(interval.inMilliseconds) records=\(records)"
    if let outcome { head += " outcome=\(outcome.rawValue)" }
    lines.append(head)
    for source in sources {
      lines.append("source \(LineText.escaped(source.name))")
      lines.append("input records=\(source.plan.records) bytes=\(source.plan.bytes)")
      let contents = source.plan.contents
      for (index, range) in source.plan.ranges.enumerated() {
        var line = "range \(LineText.escaped("\(range.topicPartition)")) \(range.from) \(range.until)"
        if index < contents.count {
          line += " records=\(contents[index].records) hash=\(String(contents[index].hash, radix: 16))"
        }
        lines.append(line)
      }
      for detail in source.plan.details { lines.append("detail \(LineText.escaped(detail))") }
      if let reason = source.plan.limitReason { lines.append("limit \(LineText.escaped(reason))") }
    }
    for note in notes {
      lines.append("note \(LineText.escaped(note.key, colons: true)): \(LineText.escaped(note.text))")
    }
    return lines.joined(separator: "\n")
  }

  /// Reads `text`; nil where it is anything else.
  package init?(text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard let head = lines.first, let parsed = BatchRecord(head: head) else { return nil }
    self = parsed
    for line in lines.dropFirst() {
      guard let space = line.firstIndex(of: " ") else { return nil }
      let rest = line[line.index(after: space)...]
      switch line[..<space] {
      case "source": sources.append(SourceRecord(name: LineText.unescaped(rest), plan: SourcePlan()))
      case "note":
        guard let colon = rest.firstRange(of: ": ") else { return nil }
        notes.append(
          BatchNote(
            key: LineText.unescaped(rest[..<colon.lowerBound]), text: LineText.unescaped(rest[colon.upperBound...])))
      default:
        guard !sources.isEmpty, sources[sources.count - 1].plan.read(line[..<space], rest) else { return nil }
      }
    }
  }

  private init?(head: Substring) {
    let words = head.split(separator: " ")
    guard words.count >= 2, words[0] == "batch", let number = Int64(words[1]) else { return nil }
    let fields = LineText.fields(words.dropFirst(2))
    guard let fields, let time = fields["time"].flatMap({ Int64($0) }),
      let interval = fields["interval"].flatMap({ Int64($0) }), let records = fields["records"].flatMap({ Int($0) })
    else { return nil }
    var outcome: Outcome?
    if let text = fields["outcome"] {
      guard let known = Outcome(rawValue: String(text)) else { return nil }
      outcome = known
    }
    var previous: Timestamp?
    if let text = fields["previous"] {
      guard let milliseconds = Int64(text) else { return nil }
      previous = Timestamp(milliseconds: milliseconds)
    }
    self.init(
      batch: BatchIdentity(number: BatchNumber(number), time: Timestamp(milliseconds: time)), previousTime: previous,
      interval: .milliseconds(interval), records: records, outcome: outcome, sources: [])
  }
}

extension SourcePlan {
  /// Takes over one line of a source; false where it is none.
  fileprivate mutating func read(_ kind: Substring, _ rest: Substring) -> Bool {
    switch kind {
    case "input":
      guard let fields = LineText.fields(rest.split(separator: " ")),
        let records = fields["records"].flatMap({ Int($0) }),
        let bytes = fields["bytes"].flatMap({ Int($0) })
      else { return false }
      self.records = records
      self.bytes = bytes
    case "range":
      let words = rest.split(separator: " ")
      guard words.count >= 3, let from = Int64(words[1]), let until = Int64(words[2]), from <= until else {
        return false
      }
      let name = LineText.unescaped(words[0])
      guard let dash = name.lastIndex(of: "-"), let partition = Int32(name[name.index(after: dash)...]) else {
        return false
      }
      ranges.append(
        OffsetRange(
          TopicPartition(String(name[..<dash]), PartitionIndex(partition)), from: Offset(from), until: Offset(until)))
      guard words.count > 3 else { break }
      // All ranges of a source have one, or none.
      guard let fields = LineText.fields(words.dropFirst(3)), let records = fields["records"].flatMap({ Int($0) }),
        let hash = fields["hash"].flatMap({ UInt64($0, radix: 16) }), contents.count == ranges.count - 1
      else { return false }
      contents.append(RangeContent(records: records, hash: hash))
    case "detail": details.append(LineText.unescaped(rest))
    case "limit": limitReason = LineText.unescaped(rest)
    default: return false
    }
    return true
  }
}

/// Text that stays on one line.
enum LineText {
  /// Percent signs and line ends by their codes, and colons where asked for.
  static func escaped(_ text: some StringProtocol, colons: Bool = false) -> String {
    guard text.utf8.contains(where: { $0 == 10 || $0 == 13 || $0 == 37 || $0 == 58 }) else { return String(text) }
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "%": result += "%25"
      case "\n": result += "%0A"
      case "\r": result += "%0D"
      case ":" where colons: result += "%3A"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  /// What `escaped` was given.
  static func unescaped(_ text: Substring) -> String {
    guard text.utf8.contains(37) else { return String(text) }
    var result = String.UnicodeScalarView()
    var rest = text.unicodeScalars[...]
    while let first = rest.popFirst() {
      if first == "%", rest.count >= 2, let code = UInt32(String(String.UnicodeScalarView(rest.prefix(2))), radix: 16),
        let scalar = Unicode.Scalar(code)
      {
        result.append(scalar)
        rest = rest.dropFirst(2)
      } else {
        result.append(first)
      }
    }
    return String(result)
  }

  /// `key=value` words; nil where one is something else.
  static func fields(_ words: some Sequence<Substring>) -> [Substring: Substring]? {
    var fields: [Substring: Substring] = [:]
    for word in words {
      guard let equals = word.firstIndex(of: "=") else { return nil }
      fields[word[..<equals]] = word[word.index(after: equals)...]
    }
    return fields
  }
}
