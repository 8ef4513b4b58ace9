import Groundwork

/// How far a transfer has come: a bar that redraws itself on a terminal, a plain line now and then elsewhere.
///
/// It only makes text; whoever owns it writes what it returns to standard error and says what time it is.
public struct ProgressMeter: Sendable {
  /// What the text is written to, which decides its form and how often it comes.
  public enum Style: Sendable, Equatable {
    /// A terminal of so many columns.
    case bar(columns: Int)
    /// A log: one line each time this long has passed.
    case lines(every: Duration)
  }

  private let label: String
  private let style: Style
  private let totalBytes: Int64?
  private let start: Instant
  private var lastShown: Instant
  private var lastRecords: Int64 = 0
  /// Records a second, averaged over the last few seconds.
  private var rate: Double?
  private var isBarShown = false

  /// - Parameters:
  ///   - label: what is being done: `produce`.
  ///   - totalBytes: what there is to do, where it is known: it gives the bar, the percentage and the time left.
  public init(_ label: String, style: Style, totalBytes: Int64? = nil, start: Instant) {
    self.label = label
    self.style = style
    self.totalBytes = totalBytes.flatMap { $0 > 0 ? $0 : nil }
    self.start = start
    lastShown = start
  }

  /// Says how much is done; returns the text to write now, or nil where it is too soon for another.
  public mutating func update(records: Int64, bytes: Int64, now: Instant) -> String? {
    let passed = now - lastShown
    let pause: Duration =
      switch style {
      case .bar: .milliseconds(100)
      case .lines(let every): every
      }
    guard passed >= pause, passed > .zero else { return nil }
    let current = Double(records - lastRecords) / passed.inSeconds
    let weight = passed.inSeconds / (passed.inSeconds + 2)
    rate = rate.map { $0 + (current - $0) * weight } ?? current
    lastShown = now
    lastRecords = records
    switch style {
    case .bar(let columns):
      isBarShown = true
      return "\r" + bar(records, bytes, now, columns: columns) + "\u{1B}[K"
    case .lines:
      return line(records, bytes, now) + "\n"
    }
  }

  /// The last line: `N records, M bytes in T s`.
  public mutating func finish(records: Int64, bytes: Int64, now: Instant) -> String {
    let clear = isBarShown ? "\r\u{1B}[K" : ""
    isBarShown = false
    let noun = records == 1 ? "record" : "records"
    return "\(clear)\(HumanText.count(records)) \(noun), \(HumanText.count(bytes)) bytes in "
      + "\(HumanText.fixed((now - start).inSeconds, 2)) s\n"
  }

  /// What takes the bar off the terminal before something else is written there; empty where none is shown.
  public mutating func clear() -> String {
    defer { isBarShown = false }
    return isBarShown ? "\r\u{1B}[K" : ""
  }

  private func fraction(_ bytes: Int64) -> Double? {
    totalBytes.map { min(1, max(0, Double(bytes) / Double($0))) }
  }

  private func timeLeft(_ bytes: Int64, _ now: Instant) -> String? {
    guard let totalBytes, bytes > 0, bytes < totalBytes else { return nil }
    let elapsed = (now - start).inSeconds
    let left = elapsed * Double(totalBytes - bytes) / Double(bytes)
    guard left.isFinite, left < 359_999 else { return nil }
    let seconds = Int64(left) + (left > Double(Int64(left)) ? 1 : 0)
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : String(number) }
    let hours = seconds / 3600
    return hours > 0
      ? "\(hours):\(two(seconds / 60 % 60)):\(two(seconds % 60))" : "\(seconds / 60):\(two(seconds % 60))"
  }

  private func facts(_ records: Int64, _ bytes: Int64, _ now: Instant) -> String {
    var text =
      "\(HumanText.count(records)) records  \(HumanText.bytes(bytes))  \(HumanText.short(rate ?? 0)) records/s"
    if let left = timeLeft(bytes, now) { text += "  ETA \(left)" }
    return text
  }

  private func line(_ records: Int64, _ bytes: Int64, _ now: Instant) -> String {
    let percent = fraction(bytes).map { "  \(Int($0 * 100))%" } ?? ""
    return "\(label)\(percent)  \(facts(records, bytes, now))"
  }

  /// At most `columns - 1` characters, so that the terminal does not wrap.
  private func bar(_ records: Int64, _ bytes: Int64, _ now: Instant, columns: Int) -> String {
    let room = max(10, columns - 1)
    let facts = facts(records, bytes, now)
    guard let fraction = fraction(bytes) else { return String("\(label)  \(facts)".prefix(room)) }
    let percent = Int(fraction * 100)
    let number = String(repeating: " ", count: 3 - String(percent).count) + "\(percent)%"
    let width = min(30, room - label.count - facts.count - number.count - 8)
    guard width >= 5 else { return String("\(label)  \(number)  \(facts)".prefix(room)) }
    let filled = Int(Double(width) * fraction)
    let drawn = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
    return "\(label)  [\(drawn)] \(number)  \(facts)"
  }
}
