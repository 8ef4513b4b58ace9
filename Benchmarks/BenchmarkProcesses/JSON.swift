import LinuxSystem

/// A value to be written as JSON (RFC 8259), for results that others read.
public enum JSON: Sendable {
  case text(String)
  case integer(Int)
  case number(Double)
  case bool(Bool)
  case list([JSON])
  /// In this order.
  case object([(String, JSON)])

  /// The value as text; lists and objects of objects have a line for each of them.
  public func rendered(indent: Int = 0) -> String {
    let inner = String(repeating: " ", count: indent + 2)
    let outer = String(repeating: " ", count: indent)
    switch self {
    case .text(let text): return JSON.quoted(text)
    case .integer(let value): return "\(value)"
    case .number(let value): return value.isFinite ? "\(value)" : "null"
    case .bool(let value): return "\(value)"
    case .list(let items):
      if items.isEmpty { return "[]" }
      let parts = items.map { inner + $0.inOneLine }
      return "[\n\(parts.joined(separator: ",\n"))\n\(outer)]"
    case .object(let members):
      let parts = members.map { "\(inner)\(JSON.quoted($0)): \($1.rendered(indent: indent + 2))" }
      return "{\n\(parts.joined(separator: ",\n"))\n\(outer)}"
    }
  }

  private var inOneLine: String {
    switch self {
    case .list(let items): "[\(items.map(\.inOneLine).joined(separator: ", "))]"
    case .object(let members):
      "{\(members.map { "\(JSON.quoted($0)): \($1.inOneLine)" }.joined(separator: ", "))}"
    default: rendered()
    }
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      default:
        if scalar.value < 32 {
          let digits = String(scalar.value, radix: 16)
          result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result + "\""
  }
}
