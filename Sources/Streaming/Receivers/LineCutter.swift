import Groundwork

/// Cuts bytes that arrive piece by piece into lines. A line ends at a line feed; a carriage return before it belongs to
/// the line's end. What follows the last line feed is a line where it has bytes.
///
/// Lines are slices of the pieces; only one that spans several is copied. O(bytes).
package struct LineCutter: ~Copyable {
  /// The beginning of a line whose end has not come yet.
  private var carry = ByteWriter(capacity: 64)
  /// Where the next piece stands in the whole.
  private var position: Int64
  /// Where the line at hand begins.
  private var lineStart: Int64
  private let limit: Int64
  private var isSkipping: Bool

  /// - Parameters:
  ///   - position: where the first piece stands in the whole.
  ///   - limit: lines that begin here or later are not given.
  ///   - skipsFirst: drop everything up to the first line feed: for a part whose first byte is in the middle of a line.
  package init(position: Int64 = 0, limit: Int64 = .max, skipsFirst: Bool = false) {
    self.position = position
    lineStart = position
    self.limit = limit
    isSkipping = skipsFirst
  }

  /// Whether no further line will be given, whatever comes.
  package var isDone: Bool { lineStart >= limit && carry.count == 0 && !isSkipping }

  /// Bytes of the line that has begun and not ended.
  package var pendingCount: Int { carry.count }

  /// Takes the next piece and gives the lines that end in it.
  package mutating func feed(_ piece: Bytes, _ emit: (Bytes) throws -> Void) rethrows {
    let count = piece.count
    var start = 0
    while start < count, !isDone {
      let end = piece.firstIndex(ofByte: UInt8(ascii: "\n"), from: start)
      if end == count {
        if !isSkipping { carry.append(piece[start..<count]) }
        break
      }
      lineStart = position + Int64(end) + 1
      if isSkipping {
        isSkipping = false
      } else if carry.count > 0 {
        carry.append(piece[start..<end])
        let line = LineCutter.trimmed(carry.copyBytes())
        carry.removeAll()
        try emit(line)
      } else {
        try emit(LineCutter.trimmed(piece[start..<end]))
      }
      start = end + 1
    }
    position += Int64(count)
  }

  /// Says that nothing more comes: a last line without a line feed is given.
  package mutating func finish(_ emit: (Bytes) throws -> Void) rethrows {
    guard !isSkipping, carry.count > 0 else { return }
    let line = LineCutter.trimmed(carry.copyBytes())
    carry.removeAll()
    lineStart = position
    try emit(line)
  }

  private static func trimmed(_ line: Bytes) -> Bytes {
    line.last == UInt8(ascii: "\r") ? line[0..<line.count - 1] : line
  }
}
