import Groundwork

/// Reads the fields of a journal payload, in the order they were written with `ByteWriter`; every read is checked.
///
/// A payload that ends early or holds what it must not throws `PayloadMalformed`, which the caller turns into a
/// `JournalError` that names the entry.
public struct PayloadReader: Sendable {
  private let payload: Bytes
  private var position = 0

  /// Starts at the first byte of `payload`.
  public init(_ payload: Bytes) { self.payload = payload }

  /// Bytes not yet read.
  public var remaining: Int { payload.count - position }

  /// A big-endian integer.
  public mutating func integer<I: FixedWidthInteger & BitwiseCopyable>(_ type: I.Type = I.self) throws(PayloadMalformed)
    -> I
  {
    guard remaining >= MemoryLayout<I>.size else { throw PayloadMalformed() }
    defer { position += MemoryLayout<I>.size }
    return payload.bigEndian(type, at: position)
  }

  /// Bytes with a 4-byte length in front, as `ByteWriter.append(field:)` writes them.
  public mutating func bytes() throws(PayloadMalformed) -> Bytes {
    let count = try integer(UInt32.self)
    guard count <= remaining else { throw PayloadMalformed() }
    defer { position += Int(count) }
    return payload[position..<position + Int(count)].copied
  }

  /// UTF-8 text with a 4-byte length in front.
  public mutating func text() throws(PayloadMalformed) -> String {
    let bytes = try bytes()
    guard let text = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else { throw PayloadMalformed() }
    return text
  }

  /// A count of elements of at least `minimumSize` bytes each; one that the rest cannot hold is malformed, so nothing is
  /// allocated for a mere claim.
  public mutating func count(ofElementsOfAtLeast minimumSize: Int) throws(PayloadMalformed) -> Int {
    let count = Int(try integer(UInt32.self))
    guard count <= remaining / max(minimumSize, 1) else { throw PayloadMalformed() }
    return count
  }
}

/// The payload is not what its version says.
public struct PayloadMalformed: Error, Equatable {
  /// Says only that; the caller adds the file and the position.
  public init() {}
}

extension ByteWriter {
  /// Bytes with a 4-byte length in front.
  public mutating func append(field bytes: Bytes) {
    append(bigEndian: UInt32(bytes.count))
    append(bytes)
  }

  /// UTF-8 text with a 4-byte length in front.
  public mutating func append(field text: String) { append(field: Bytes(text)) }
}
