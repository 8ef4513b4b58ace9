/// What a program printed last: `name=value` pairs, apart by spaces.
public struct Fields: Sendable {
  private var values: [String: String] = [:]

  /// What does not look like a pair is left out.
  public init(_ line: String) {
    for part in line.split(separator: " ") {
      guard let equals = part.firstIndex(of: "=") else { continue }
      values[String(part[..<equals])] = String(part[part.index(after: equals)...])
    }
  }

  /// The value of a name as it was printed; nil where there is none.
  public subscript(name: String) -> String? { values[name] }
  /// A whole number; nil where there is none.
  public func int(_ name: String) -> Int? { values[name].flatMap { Int($0) } }
  /// A hash; nil where there is none.
  public func hash(_ name: String) -> UInt64? { values[name].flatMap { UInt64($0) } }
  /// A number; 0 where there is none.
  public func double(_ name: String) -> Double { values[name].flatMap { Double($0) } ?? 0 }
}
