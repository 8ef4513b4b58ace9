/// A 128-bit identifier, such as a topic's (KIP-516). All zeros means none.
public struct UUID128: Hashable, Sendable, CustomStringConvertible {
  /// The first 8 bytes on the wire.
  public var high: UInt64
  /// The last 8 bytes on the wire.
  public var low: UInt64
  /// The identifier whose 16 bytes are `high` and `low`, big-endian.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
  /// None.
  public static let zero = UUID128(high: 0, low: 0)

  /// URL-safe base 64 without padding, 22 characters: how Kafka's tools print a topic id.
  public var description: String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var text: [UInt8] = []
    for digit in 0..<22 {
      // Digit `digit` holds bits 127 - 6 * digit and the five below; the last one has only two, padded with zeros.
      let shift = 122 - 6 * digit
      let bits: UInt64 =
        if shift >= 64 {
          high >> UInt64(shift - 64)
        } else if shift > 58 {
          high << UInt64(64 - shift) | low >> UInt64(shift)
        } else {
          shift >= 0 ? low >> UInt64(shift) : low << UInt64(-shift)
        }
      text.append(alphabet[Int(bits & 63)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
