import Groundwork

/// How values of one type, known at run time, become bytes and come back: by address, so that a tuple is its elements.
///
/// The bytes are read by the process that wrote them, or from a checkpoint by the same program; they are not canonical
/// (a Double keeps its very bits).
///
/// Sendable: its functions capture nothing but types, offsets and other codecs, all of them constant.
struct RawCodec: @unchecked Sendable {
  /// Appends the value at the address.
  let encode: (UnsafeRawPointer, inout ByteWriter) -> Void
  /// Reads a value and initialises the memory at the address with it; after an error the memory is not initialised.
  let decode: (inout FrameCursor, UnsafeMutableRawPointer) throws -> Void
  /// Ends the life of the value at the address.
  let destroy: (UnsafeMutableRawPointer) -> Void

  /// The codec of a type, nil where it has none: `StreamCodable` types, and tuples, arrays, optionals, sets and
  /// dictionaries of what has one.
  ///
  /// Takes some microseconds: for once an operator and task.
  static func find(_ type: Any.Type) -> RawCodec? {
    if let plain = plain(type) { return plain }
    if let elements = TupleLayout.elements(of: type) { return tuple(elements) }
    if let container = type as? any EncodableContainer.Type { return container.containerCodec }
    if let codable = type as? any StreamCodable.Type { return conforming(codable) }
    return nil
  }

  /// The types that nearly all data is made of, in code of their own.
  private static func plain(_ type: Any.Type) -> RawCodec? {
    if type == Int.self {
      return make(Int.self, { $1.append(varint: Int64($0)) }, { Int(try $0.signed()) })
    }
    if type == Bytes.self {
      return make(Bytes.self) {
        $1.append(unsignedVarint: UInt64($0.count))
        $1.append($0)
      } _: {
        let count = try $0.count()
        // Memory of its own: a slice would keep the whole frame.
        return Bytes(copying: UnsafeRawBufferPointer(start: try $0.take(count), count: count))
      }
    }
    if type == String.self {
      return make(String.self) {
        $1.append(unsignedVarint: UInt64($0.utf8.count))
        $1.append($0)
      } _: {
        let count = try $0.count()
        return String(decoding: UnsafeRawBufferPointer(start: try $0.take(count), count: count), as: UTF8.self)
      }
    }
    if type == Double.self {
      return make(Double.self, { $1.append(bigEndian: $0.bitPattern) }) {
        Double(bitPattern: try $0.word())
      }
    }
    if type == Float.self {
      return make(Float.self, { $1.append(bigEndian: UInt64($0.bitPattern)) }) {
        Float(bitPattern: UInt32(truncatingIfNeeded: try $0.word()))
      }
    }
    return nil
  }

  static func make<Value>(
    _ type: Value.Type, _ write: @escaping (Value, inout ByteWriter) -> Void,
    _ read: @escaping (inout FrameCursor) throws -> Value
  ) -> RawCodec {
    RawCodec(
      encode: { write($0.assumingMemoryBound(to: Value.self).pointee, &$1) },
      decode: { $1.initializeMemory(as: Value.self, to: try read(&$0)) },
      destroy: { _ = $0.assumingMemoryBound(to: Value.self).deinitialize(count: 1) })
  }

  private static func conforming<Value: StreamCodable>(_ type: Value.Type) -> RawCodec {
    make(type, { $0.encode(to: &$1) }, { try $0.decode(Value.self) })
  }

  private static func tuple(_ elements: [(type: Any.Type, offset: Int)]) -> RawCodec? {
    var parts: [(codec: RawCodec, offset: Int)] = []
    for element in elements {
      guard let codec = find(element.type) else { return nil }
      parts.append((codec, element.offset))
    }
    let all = parts
    return RawCodec(
      encode: { address, writer in
        for part in all { part.codec.encode(address + part.offset, &writer) }
      },
      decode: { cursor, address in
        for index in all.indices {
          do {
            try all[index].codec.decode(&cursor, address + all[index].offset)
          } catch {
            for made in all[..<index] { made.codec.destroy(address + made.offset) }
            throw error
          }
        }
      },
      destroy: { address in
        for part in all { part.codec.destroy(address + part.offset) }
      })
  }
}

/// A collection whose codec is that of its elements, whatever they are: tuples too.
private protocol EncodableContainer {
  static var containerCodec: RawCodec? { get }
}

extension RawCodec {
  func write<Value>(_ value: Value, _ writer: inout ByteWriter) {
    withUnsafePointer(to: value) { encode(UnsafeRawPointer($0), &writer) }
  }

  func read<Value>(_ type: Value.Type, _ cursor: inout FrameCursor) throws -> Value {
    try withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { memory in
      try decode(&cursor, UnsafeMutableRawPointer(memory.baseAddress!))
      return memory.moveElement(from: 0)
    }
  }

  /// Of a collection, by its count and its elements.
  fileprivate func collection<C: Collection>(
    _ type: C.Type, _ build: @escaping ([C.Element]) -> C
  ) -> RawCodec {
    RawCodec.make(type) { collection, writer in
      writer.append(unsignedVarint: UInt64(collection.count))
      for element in collection { write(element, &writer) }
    } _: { cursor in
      let count = try cursor.count(of: MemoryLayout<C.Element>.size == 0 ? 0 : 1)
      var elements: [C.Element] = []
      for _ in 0..<count { elements.append(try read(C.Element.self, &cursor)) }
      return build(elements)
    }
  }
}

extension Array: EncodableContainer {
  fileprivate static var containerCodec: RawCodec? { RawCodec.find(Element.self)?.collection(self) { $0 } }
}

extension GroupedValues: EncodableContainer {
  fileprivate static var containerCodec: RawCodec? {
    guard let values = [Value].containerCodec else { return nil }
    return RawCodec.make(self) { group, writer in
      values.write(group.array, &writer)
    } _: { cursor in
      GroupedValues(try values.read([Value].self, &cursor))
    }
  }
}

extension ContiguousArray: EncodableContainer {
  fileprivate static var containerCodec: RawCodec? { RawCodec.find(Element.self)?.collection(self) { Self($0) } }
}

extension Set: EncodableContainer {
  fileprivate static var containerCodec: RawCodec? { RawCodec.find(Element.self)?.collection(self) { Self($0) } }
}

extension Dictionary: EncodableContainer {
  fileprivate static var containerCodec: RawCodec? {
    RawCodec.find(Element.self)?.collection(self) { pairs in
      Self(pairs.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
    }
  }
}

extension Optional: EncodableContainer {
  fileprivate static var containerCodec: RawCodec? {
    guard let codec = RawCodec.find(Wrapped.self) else { return nil }
    return RawCodec.make(self) { value, writer in
      writer.append(value == nil ? 0 : 1)
      if let value { codec.write(value, &writer) }
    } _: { cursor in
      let flag = try cursor.take(1).load(as: UInt8.self)
      return flag == 0 ? nil : .some(try codec.read(Wrapped.self, &cursor))
    }
  }
}
