import Groundwork

/// What an output of the killed run lost and doubled, held against the undisturbed one's.
struct VerifyComparison: Equatable {
  /// What must be equal.
  enum Kind: String {
    /// Every record, as often.
    case records
    /// The sums of the records' numbers, by key.
    case sums
    /// The newest record of every key.
    case last
  }

  /// Records of the undisturbed run and of the killed one.
  var expected: Int
  var found: Int
  var lost = 0
  var doubled = 0
  /// Some of what differs, for people.
  var examples: [String] = []

  private static let examplesMax = 5

  /// - Parameters:
  ///   - expected: keys and values in the order in which they were read.
  init(_ kind: Kind, expected: [VerifyRecord], found: [VerifyRecord]) {
    self.expected = expected.count
    self.found = found.count
    let wanted = Self.amounts(kind, expected)
    let there = Self.amounts(kind, found)
    for (key, amount) in wanted.sorted(by: { $0.key < $1.key }) {
      guard let found = there[key] else {
        // What is missing counts, also where its numbers come to nothing.
        lost += max(1, abs(amount))
        note(key, "nothing instead of \(amount)")
        continue
      }
      if found < amount { lost += amount - found }
      if found > amount { doubled += found - amount }
      if found != amount { note(key, "\(found) instead of \(amount)") }
    }
    for (key, amount) in there.sorted(by: { $0.key < $1.key }) where wanted[key] == nil {
      doubled += max(1, abs(amount))
      note(key, "\(amount) instead of nothing")
    }
  }

  private mutating func note(_ key: String, _ what: String) {
    if examples.count < Self.examplesMax { examples.append("\(key): \(what)") }
  }

  private static func amounts(_ kind: Kind, _ records: [VerifyRecord]) -> [String: Int] {
    var amounts: [String: Int] = [:]
    switch kind {
    case .records:
      for record in records { amounts[record.text, default: 0] += 1 }
    case .sums:
      for record in records {
        if let number = Int(record.value) {
          amounts[record.key, default: 0] += number
        } else {
          // No number to add up: compared as it is.
          amounts[record.text, default: 0] += 1
        }
      }
    case .last:
      var newest: [String: String] = [:]
      for record in records { newest[record.key] = record.value }
      for (key, value) in newest { amounts["\(key)\t\(value)"] = 1 }
    }
    return amounts
  }
}

/// A record of an output: key and value of a topic's record; of a line or row, what stands before its first tab, and
/// after it.
struct VerifyRecord: Equatable {
  var key: String
  var value: String

  var text: String { "\(key)\t\(value)" }

  init(key: String, value: String) {
    self.key = key
    self.value = value
  }

  init(line: some StringProtocol) {
    let tab = line.firstIndex(of: "\t")
    key = tab.map { String(line[..<$0]) } ?? ""
    value = tab.map { String(line[line.index(after: $0)...]) } ?? String(line)
  }
}
