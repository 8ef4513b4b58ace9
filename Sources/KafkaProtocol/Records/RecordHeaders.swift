import Groundwork

/// One header of a record (KIP-82).
public struct RecordHeader: Hashable, Sendable {
  /// UTF-8 text by Kafka's rules, which nothing enforces.
  public var key: Bytes
  /// nil: null, which is not the same as empty.
  public var value: Bytes?

  /// A header for `RecordBatchBuilder`; nothing is copied.
  public init(_ key: Bytes, _ value: Bytes?) {
    self.key = key
    self.value = value
  }
}

/// The headers of a record, read one by one when asked for: ordered, keys may repeat, values may be null.
///
/// Safe to keep: it retains the memory it shows.
///
///     keyLength    varint   never negative
///     key
///     valueLength  varint   -1: null
///     value
///
/// Sendable: the memory is only read, for as long as the arena lives, and the sequence holds that.
public struct RecordHeaders: Sequence, IteratorProtocol, @unchecked Sendable {
  /// Headers not yet given.
  public private(set) var count: Int
  private let arena: Arena
  private var position: UnsafeRawPointer
  private let end: UnsafeRawPointer

  /// `areValid` has said yes to these bytes.
  @usableFromInline init(_ arena: Arena, at position: UnsafeRawPointer, end: UnsafeRawPointer, count: Int) {
    self.arena = arena
    self.position = position
    self.end = end
    self.count = count
  }

  /// `count`, which is exact.
  public var underestimatedCount: Int { count }

  /// The next header; its bytes are slices that keep the batch's memory alive. O(1), nothing is copied.
  public mutating func next() -> RecordHeader? {
    guard count > 0, let fields = RecordHeaders.fields(&position, end) else { return nil }
    count -= 1
    let key = Bytes(trusting: arena, at: fields.key, count: fields.keyCount)
    let value = fields.valueCount < 0 ? nil : Bytes(trusting: arena, at: fields.value, count: fields.valueCount)
    return RecordHeader(key, value)
  }

  /// The value of the last header of that key, as Kafka's `Headers.lastHeader` finds it; the outer nil says that there
  /// is none, the inner one that its value is null. O(headers).
  public func last(_ key: Bytes) -> Bytes?? {
    var found: Bytes??
    for header in self where header.key == key { found = .some(header.value) }
    return found
  }

  private struct Fields {
    var key: UnsafeRawPointer
    var keyCount: Int
    var value: UnsafeRawPointer
    /// -1: null.
    var valueCount: Int
  }

  private static func fields(_ position: inout UnsafeRawPointer, _ end: UnsafeRawPointer) -> Fields? {
    guard let keyCount = RecordCursor.varint(&position, end), position <= end, keyCount >= 0,
      keyCount <= end - position
    else { return nil }
    let key = position
    position += keyCount
    guard let valueCount = RecordCursor.varint(&position, end), position <= end, valueCount >= -1,
      valueCount <= end - position
    else { return nil }
    let value = position
    if valueCount > 0 { position += valueCount }
    return Fields(key: key, keyCount: keyCount, value: value, valueCount: valueCount)
  }

  /// Whether `count` headers fill the bytes from `position` to `end`, which lie in an arena.
  @usableFromInline @inline(never)
  static func areValid(at position: UnsafeRawPointer, end: UnsafeRawPointer, count: Int) -> Bool {
    // Two bytes a header at least, so a count that lies costs no more than the bytes that are there.
    guard count <= (end - position) / 2 else { return false }
    var position = position
    for _ in 0..<count where fields(&position, end) == nil { return false }
    return position == end
  }
}
