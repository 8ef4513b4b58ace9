/// A 128-bit identifier, such as a topic's (KIP-516). All zeros means none.
public struct UUID128: Hashable, Sendable {
  public var high: UInt64
  public var low: UInt64
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
  public static let zero = UUID128(high: 0, low: 0)
}
