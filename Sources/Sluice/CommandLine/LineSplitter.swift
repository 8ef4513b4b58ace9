import Groundwork

/// Cuts a stream of bytes, which arrives in pieces, into lines.
///
/// A line ends at a line feed, and a carriage return before it belongs to the end, as in Kafka's console producer. What
/// stands after the last line feed is a line as well.
package struct LineSplitter: Sendable {
  private var chunk = Bytes()
  private var position = 0
  /// The beginning of a line whose end has not arrived.
  private var pending: [Bytes] = []
  private var pendingCount = 0
  private let longest: Int

  /// - Parameter longest: bytes of a line beyond which it is given up; memory grows with what has arrived only.
  package init(longest: Int = 128 << 20) { self.longest = longest }

  /// The bytes of a line that has not ended are more than are allowed.
  package var isTooLong: Bool { pendingCount > longest }

  /// Takes the next piece; only when `next` has answered nil.
  package mutating func append(_ bytes: Bytes) {
    chunk = bytes
    position = 0
  }

  /// The next whole line without its end, or nil when another piece is needed. Within one piece it is a slice.
  package mutating func next() -> Bytes? {
    guard position < chunk.count else { return nil }
    let end = chunk.firstIndex(ofByte: 10, from: position)
    let part = chunk[position..<end]
    guard end < chunk.count else {
      pending.append(part)
      pendingCount += part.count
      position = chunk.count
      return nil
    }
    position = end + 1
    return pending.isEmpty ? Self.withoutReturn(part) : Self.withoutReturn(joined(part))
  }

  /// What stands after the last line feed; nil where that was the end.
  package mutating func finish() -> Bytes? { pending.isEmpty ? nil : Self.withoutReturn(joined(Bytes())) }

  private mutating func joined(_ last: Bytes) -> Bytes {
    var writer = ByteWriter(capacity: pendingCount + last.count)
    for part in pending { writer.append(part) }
    writer.append(last)
    pending = []
    pendingCount = 0
    return writer.finish()
  }

  private static func withoutReturn(_ line: Bytes) -> Bytes {
    line.last == 13 ? line[0..<line.count - 1] : line
  }
}
