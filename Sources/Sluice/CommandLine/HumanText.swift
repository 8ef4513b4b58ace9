import Groundwork

/// Numbers as people read them.
public enum HumanText {
  /// `1,234,567`.
  public static func count(_ value: Int64) -> String {
    let digits = String(value.magnitude)
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text += "," }
      text.append(digit)
    }
    return value < 0 ? "-" + text : text
  }

  /// `512 B`, `1.5 kB`, `12.3 MB`, in steps of 1,000.
  public static func bytes(_ value: Int64) -> String {
    if value.magnitude < 1000 { return "\(value) B" }
    return scaled(Double(value), ["kB", "MB", "GB", "TB", "PB", "EB"])
  }

  /// `950`, `12.3 k`, `1.2 M`, `3.4 G`.
  public static func short(_ value: Double) -> String {
    if value.magnitude < 999.5 { return fixed(value, value.magnitude < 10 && value != Double(Int64(value)) ? 1 : 0) }
    return scaled(value, ["k", "M", "G", "T", "P", "E"])
  }

  /// `12.3 k records/s`; no rate where no time has passed.
  public static func rate(_ amount: Int64, _ unit: String, in time: Duration) -> String {
    time > .zero ? "\(short(Double(amount) / time.inSeconds)) \(unit)/s" : "- \(unit)/s"
  }

  /// `850 µs`, `12.3 ms`, `1.25 s`, `2m 05s`, `3h 04m`: three figures or so.
  public static func duration(_ value: Duration) -> String {
    let seconds = value.inSeconds
    if seconds < 0.001 { return "\(fixed(seconds * 1e6, 0)) µs" }
    if seconds < 1 { return "\(fixed(seconds * 1e3, seconds < 0.1 ? 1 : 0)) ms" }
    if seconds < 59.995 { return "\(fixed(seconds, seconds < 10 ? 2 : 1)) s" }
    let whole = Int64(min(seconds, 1e15) + 0.5)
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : String(number) }
    if whole < 3600 { return "\(whole / 60)m \(two(whole % 60))s" }
    return "\(whole / 3600)h \(two(whole / 60 % 60))m"
  }

  /// A number with so many digits after the point, rounded half away from zero.
  public static func fixed(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<max(0, digits) { scale *= 10 }
    guard value.isFinite, value.magnitude * scale < 1e18 else { return String(value) }
    // Not `rounded()`: it is a call into libm, which a program of this package alone does not link.
    let whole = Int64(value.magnitude * scale + 0.5)
    let sign = value < 0 && whole > 0 ? "-" : ""
    if digits <= 0 { return sign + String(whole) }
    let fraction = String(whole % Int64(scale))
    return "\(sign)\(whole / Int64(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
  }

  private static func scaled(_ value: Double, _ units: [String]) -> String {
    var value = value / 1000
    var unit = 0
    while value.magnitude >= 999.95, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return "\(fixed(value, value.magnitude < 99.95 ? 1 : 0)) \(units[unit])"
  }
}
