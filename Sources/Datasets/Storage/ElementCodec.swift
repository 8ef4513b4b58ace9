import Groundwork

/// How the elements of a dataset become bytes and come back: what lets them leave memory, for a shuffle that is larger
/// than its memory, a persisted partition on disk, a checkpoint.
///
/// `StreamCodable` types have one, and so have tuples, arrays, optionals, sets and dictionaries of what has one, nested
/// as deep as one likes: `(Bytes, Int)`, `(String, ([Double], Bytes?))`. There is nothing to register. A struct or enum of
/// one's own gets it by conforming to `StreamCodable`, with two methods; a class has none.
///
/// Sizes, before compression: integers 1 to 10 bytes by magnitude, floats 8, texts and `Bytes` their bytes and 1 or 2 for
/// the length, collections likewise, optionals 1 more, tuples nothing of their own: `("delay", 42)` is 7 bytes where
/// memory takes 24 or more.
public struct ElementCodec<Element>: Sendable {
  let raw: RawCodec

  /// The codec of the type; nil where the type, or a part of it, has none.
  ///
  /// Costs some microseconds. Called once an operator and task that needs it, never a record.
  public init?() {
    guard let raw = RawCodec.find(Element.self) else { return nil }
    self.raw = raw
  }

  /// Appends the element's encoding.
  public func encode(_ element: Element, into writer: inout ByteWriter) { raw.write(element, &writer) }

  /// The `count` elements that a frame encodes, one after the other, appended to `output`.
  /// - Throws: `StreamDecodingError` where the bytes are no such elements.
  func decode(_ frame: Bytes, count: Int, into output: inout Chunk<Element>) throws {
    try frame.withUnsafeBytes { memory in
      // The address of inline bytes is good, too; only an empty buffer might have none.
      var cursor = FrameCursor(frame, at: memory.baseAddress ?? UnsafeRawPointer(output.base))
      for _ in 0..<count {
        if output.count == output.capacity { output.grow() }
        try raw.decode(&cursor, UnsafeMutableRawPointer(output.base + output.used))
        output.used &+= 1
      }
      guard cursor.isAtEnd else { throw cursor.fail("\(cursor.end - cursor.position) bytes too many") }
    }
  }

  /// The `count` elements whose encodings `frame` holds, one after the other.
  /// - Throws: `StreamDecodingError` where the bytes are no such elements.
  public func decode(_ frame: Bytes, count: Int) throws -> [Element] {
    var output = Chunk<Element>()
    try decode(frame, count: count, into: &output)
    return Array(output.view)
  }
}
