import Datasets
import Groundwork

/// Which windows of event time an element belongs to.
public struct EventTimeWindow: Sendable, Equatable {
  @usableFromInline enum Kind: Sendable, Equatable {
    case fixed(length: Int64, slide: Int64)
    case session(gap: Int64)
  }
  @usableFromInline let kind: Kind

  /// Windows of `length` one after the other, beginning at whole multiples of it since 1970.
  public static func tumbling(_ length: Duration) -> Self { sliding(length, every: length) }

  /// Windows of `length`, one beginning at each whole multiple of `slide` since 1970: Kafka's hopping windows.
  public static func sliding(_ length: Duration, every slide: Duration) -> Self {
    Self(kind: .fixed(length: length.inMilliseconds, slide: slide.inMilliseconds))
  }

  /// For each key, windows that end when nothing has come for `gap`.
  public static func session(gap: Duration) -> Self { Self(kind: .session(gap: gap.inMilliseconds)) }

  /// What is wrong with it; nil for nothing.
  var problem: String? {
    switch kind {
    case .fixed(let length, let slide) where length < 1 || slide < 1 || slide > length:
      "a window of \(length) ms every \(slide) ms is not possible: both are 1 ms or more, and the slide no longer than "
        + "the window"
    case .session(let gap) where gap < 1: "a session gap of \(gap) ms is not possible: choose 1 ms or more"
    default: nil
    }
  }

  /// Calls `body` with the beginning of each fixed window that an element of this time belongs to, the latest first.
  @inlinable static func starts(_ time: Int64, length: Int64, slide: Int64, _ body: (Int64) throws -> Void) rethrows {
    let phase = time % slide
    var start = time - (phase < 0 ? phase + slide : phase)
    while start > time - length {
      try body(start)
      start -= slide
    }
  }
}

/// A key in one of its windows.
public struct Windowed<Key: Hashable & Sendable>: Hashable, Sendable {
  /// The key.
  public var key: Key
  /// The beginning of the window; of a session the time of its first element.
  public var start: Timestamp
  /// The end, which does not belong to it; of a session the time of its last element plus the gap.
  public var end: Timestamp
  /// Puts the three together.
  public init(_ key: Key, start: Timestamp, end: Timestamp) {
    self.key = key
    self.start = start
    self.end = end
  }
}

extension Windowed: StreamCodable where Key: StreamCodable {
  /// The key, the beginning, the length.
  public func encode(to writer: inout ByteWriter) {
    key.encode(to: &writer)
    writer.append(varint: start.milliseconds)
    writer.append(varint: end.milliseconds &- start.milliseconds)
  }
  /// Throws where one of the three cannot be read.
  public static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Self {
    let key = try Key.decode(from: &reader)
    let start = try Int64.decode(from: &reader)
    let length = try Int64.decode(from: &reader)
    return Self(
      key, start: Timestamp(milliseconds: start), end: Timestamp(milliseconds: start &+ length))
  }
}

extension Windowed: CustomStringConvertible {
  /// `key@[start, end)`.
  public var description: String { "\(key)@[\(start), \(end))" }
}

/// The open windows of one key: what the state of a windowed operator is.
@usableFromInline package struct OpenWindows<Partial: StreamCodable>: StreamCodable {
  @usableFromInline struct Window: Sendable {
    @usableFromInline var start: Int64
    @usableFromInline var end: Int64
    @usableFromInline var partial: Partial
    /// Its end has passed, and its result was given.
    @usableFromInline var isGiven = false
    /// It has changed in this batch. Not kept.
    @usableFromInline var isChanged = true

    @inlinable init(start: Int64, end: Int64, partial: Partial) {
      self.start = start
      self.end = end
      self.partial = partial
    }
  }
  /// By their beginnings.
  @usableFromInline var windows: [Window] = []

  @inlinable init() {}

  /// The number of windows; for each the beginning, the length, whether it was given, and the partial result.
  @usableFromInline package func encode(to writer: inout ByteWriter) {
    writer.append(unsignedVarint: UInt64(windows.count))
    for window in windows {
      writer.append(varint: window.start)
      writer.append(varint: window.end &- window.start)
      writer.append(window.isGiven ? 1 : 0)
      window.partial.encode(to: &writer)
    }
  }

  @usableFromInline package static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Self {
    do {
      return try decode(from: &reader) { try Partial.decode(from: &$0) }
    } catch let error as StreamDecodingError {
      throw error
    } catch {
      throw reader.fail("\(error)")
    }
  }

  /// As `decode(from:)`, with the partial results read by a function.
  static func decode(from reader: inout StreamReader, partial: (inout StreamReader) throws -> Partial) throws -> Self {
    var result = Self()
    for _ in 0..<(try reader.readCount()) {
      let start = try Int64.decode(from: &reader)
      let length = try Int64.decode(from: &reader)
      let isGiven = try Bool.decode(from: &reader)
      var window = Window(start: start, end: start &+ length, partial: try partial(&reader))
      window.isGiven = isGiven
      window.isChanged = false
      result.windows.append(window)
    }
    return result
  }

  /// Adds to the fixed window that begins at `start`.
  @inlinable mutating func add(
    start: Int64, end: Int64, _ zero: Partial, _ add: (Partial) throws -> Partial
  ) rethrows {
    // New windows are mostly the latest.
    var index = windows.count
    while index > 0, windows[index - 1].start > start { index -= 1 }
    if index > 0, windows[index - 1].start == start {
      windows[index - 1].partial = try add(windows[index - 1].partial)
      windows[index - 1].isChanged = true
    } else {
      windows.insert(Window(start: start, end: end, partial: try add(zero)), at: index)
    }
  }

  /// The session that an element from `start` to `end` would belong to, sessions it brings together included.
  @inlinable func session(_ start: Int64, _ end: Int64) -> (start: Int64, end: Int64, parts: Range<Int>) {
    var first = windows.count
    while first > 0, windows[first - 1].end >= start { first -= 1 }
    var last = first
    var bounds = (start, end)
    while last < windows.count, windows[last].start <= end {
      bounds = (min(bounds.0, windows[last].start), max(bounds.1, windows[last].end))
      last += 1
    }
    return (bounds.0, bounds.1, first..<last)
  }

  /// Adds to a session, which takes the place of those it brings together.
  @inlinable mutating func add(
    _ session: (start: Int64, end: Int64, parts: Range<Int>), _ zero: Partial, _ add: (Partial) throws -> Partial,
    _ merge: (Partial, Partial) throws -> Partial
  ) rethrows {
    guard let first = session.parts.first else {
      windows.insert(
        Window(start: session.start, end: session.end, partial: try add(zero)), at: session.parts.lowerBound)
      return
    }
    var partial = windows[first].partial
    for index in session.parts.dropFirst() { partial = try merge(partial, windows[index].partial) }
    var joined = Window(start: session.start, end: session.end, partial: try add(partial))
    joined.isGiven = session.parts.count == 1 && windows[first].isGiven && windows[first].end == session.end
    windows.replaceSubrange(session.parts, with: [joined])
  }
}

// So that keys and partial results of `Bytes` do not keep the arenas of their batches.

extension Windowed: DetachableContainer {
  /// Of the key.
  package static var containerDetachment: Detachment? {
    .part { (window: inout Self, detach: (inout Key) -> Void) in detach(&window.key) }
  }
}

extension OpenWindows: DetachableContainer {
  package static var containerDetachment: Detachment? {
    .part { (open: inout Self, detach: (inout Partial) -> Void) in
      for index in open.windows.indices { detach(&open.windows[index].partial) }
    }
  }
}
