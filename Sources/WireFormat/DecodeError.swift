import Groundwork

/// Why bytes could not be read as what they were taken for, and where.
public struct DecodeError: DiagnosableError, Equatable {
  /// What is wrong with the bytes.
  public enum Code: Sendable, Equatable {
    /// The bytes end before the value does.
    case truncated(wanted: Int, remaining: Int)
    /// A length or count that is negative, or larger than what remains could hold.
    case impossibleLength(Int64)
    /// A varint of more bytes than its width allows.
    case overlongVarint
    /// Text that is not UTF-8.
    case invalidText
    /// The bytes do not have the checksum that is stored with them.
    case checksumMismatch(stored: UInt32, computed: UInt32)
    /// A value outside what the format allows; the text says which.
    case invalid(StaticText)
    /// Bytes were left over where the value must fill them.
    case trailingBytes(Int)
  }
  /// The kind of error, with its particulars: what callers branch on.
  public var code: Code
  /// Byte position in the outermost buffer.
  public var position: Int

  /// What is wrong, and at which byte of the outermost buffer.
  public init(_ code: Code, at position: Int) {
    self.code = code
    self.position = position
  }

  /// The peer's: it sent what the format does not allow.
  public var fault: Fault { .peer }
  /// False: the same bytes fail again.
  public var isRetriable: Bool { false }
  /// True: whatever the bytes came from is as before.
  public var leavesUsable: Bool { true }

  /// What is wrong and at which byte.
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
  /// The literal itself, which costs no memory of its own.
  public init(stringLiteral value: StaticString) { text = value }
  /// Whether the texts are equal, wherever they stand in the program. O(n).
  public static func == (a: StaticText, b: StaticText) -> Bool { a.description == b.description }
  /// The text as a `String`.
  public var description: String { text.description }
}
