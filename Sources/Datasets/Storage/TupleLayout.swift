/// What a tuple type is made of: the one thing about a type that a conformance cannot tell, because tuples have none.
enum TupleLayout {
  /// The kind that the runtime writes at the start of a tuple type's description (docs/ABI/TypeMetadata.rst of the Swift
  /// repository; include/swift/ABI/MetadataKind.def: 1 | nonheap | runtime-private).
  private static let kind: UInt = 0x301

  /// The types of the tuple's elements and the byte offsets at which they stand in it; nil for another type.
  ///
  /// Read from the runtime's description of the type: its kind, the number of elements, the labels, then a type and a
  /// 32-bit offset for each. A test compares it with what the compiler does.
  static func elements(of type: Any.Type) -> [(type: Any.Type, offset: Int)]? {
    // Safe: a metatype is the address of its description, which lives for ever and begins with the kind (or, for a
    // class, with an address, which is never 0x301); what follows is read only where the kind says that it is a tuple.
    let words = unsafeBitCast(type, to: UnsafePointer<UInt>.self)
    guard words[0] == kind else { return nil }
    let first = UnsafeRawPointer(words + 3)
    return (0..<Int(words[1])).map { index in
      let entry = first + index * 16
      return (entry.load(as: Any.Type.self), Int(entry.load(fromByteOffset: 8, as: UInt32.self)))
    }
  }
}
