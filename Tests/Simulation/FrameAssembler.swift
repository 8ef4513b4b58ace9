import Groundwork
import SystemInterfaces

/// Cuts arriving bytes by a `Framing`: pushed piece by piece, pulled frame by frame.
struct FrameAssembler {
  let framing: Framing
  private var pieces: [Bytes] = []
  /// Bytes in `pieces`.
  private var available = 0

  init(_ framing: Framing) { self.framing = framing }

  mutating func push(_ bytes: Bytes) {
    guard !bytes.isEmpty else { return }
    pieces.append(bytes)
    available += bytes.count
  }

  /// The next whole frame; nil where more bytes must come first.
  /// - Throws: the claimed size where it is over the maximum.
  mutating func next() throws(FrameTooLarge) -> Bytes? {
    switch framing {
    case .stream:
      guard !pieces.isEmpty else { return nil }
      let first = pieces.removeFirst()
      available -= first.count
      return first
    case .lengthPrefixed(let maximum):
      guard available >= 4 else { return nil }
      var claim = 0
      for index in 0..<4 { claim = claim << 8 | Int(byte(at: index)) }
      guard claim <= maximum else { throw FrameTooLarge(size: claim) }
      guard available >= 4 + claim else { return nil }
      return take(4 + claim)[4..<(4 + claim)]
    }
  }

  private func byte(at index: Int) -> UInt8 {
    var index = index
    for piece in pieces {
      if index < piece.count { return piece[index] }
      index -= piece.count
    }
    return 0
  }

  private mutating func take(_ count: Int) -> Bytes {
    available -= count
    if pieces[0].count >= count {
      let taken = pieces[0][0..<count]
      if pieces[0].count == count {
        pieces.removeFirst()
      } else {
        pieces[0] = pieces[0][count..<pieces[0].count]
      }
      return taken
    }
    var writer = ByteWriter(capacity: count)
    var used = 0
    while writer.count < count {
      let piece = pieces[used]
      let want = count - writer.count
      if piece.count <= want {
        writer.append(piece)
        used += 1
      } else {
        writer.append(piece[0..<want])
        pieces[used] = piece[want..<piece.count]
      }
    }
    pieces.removeFirst(used)
    return writer.finish()
  }
}

struct FrameTooLarge: Error {
  var size: Int
}
