import Groundwork

/// Why bytes could not be read as what they were taken for, and where.
public struct DecodeError: DiagnosableError, Equatable {
  public enum Code: Sendable, Equatable {
    /// The bytes end before the value does.
    case truncated(wanted: Int, remaining: Int)
    /// A length or count that is negative, or larger than what remains could hold.
    case impossibleLength(Int64)
    /// A varint of more bytes than its width allows.
    case overlongVarint
    case invalidText
    case checksumMismatch(stored: UInt32, computed: UInt32)
    /// A value outside what the format allows; the text says which.
    case invalid(StaticText)
    /// Bytes were left over where the value must fill them.
    case trailingBytes(Int)
  }
  public var code: Code
  /// Byte position in the outermost buffer.
  public var position: Int

  public init(_ code: Code, at position: Int) {
    self.code = code
    self.position = position
  }

  public var fault: Fault { .peer }
  public var isRetriable: Bool { false }
  public var leavesUsable: Bool { true }

  public var description: String {
    let what =
      switch code {
      case .truncated(let wanted, let remaining): "\(wanted) bytes wanted, \(remaining) left"
      case .impossibleLength(let length): "an impossible length of \(length)"
      case .overlongVarint: "a varint that is too long"
      case .invalidText: "text that is not UTF-8"
      case .checksumMismatch(let stored, let computed):
        "checksum mismatch (stored \(String(stored, radix: 16)), computed \(String(computed, radix: 16)))"
      case .invalid(let text): text.description
      case .trailingBytes(let count): "\(count) bytes too many"
      }
    return "\(what) at byte \(position)"
  }
}

/// A text known when the program was built: makes an error without allocating.
public struct StaticText: Sendable, Equatable, ExpressibleByStringLiteral, CustomStringConvertible {
  let text: StaticString
  public init(stringLiteral value: StaticString) { text = value }
  public static func == (a: StaticText, b: StaticText) -> Bool { a.description == b.description }
  public var description: String { text.description }
}
