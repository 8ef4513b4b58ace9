import Groundwork

/// Elements that move together from operator to operator: about 1,024 of them in contiguous memory.
///
/// A chunk is filled by one operator, lent to the next as a buffer or emptied by it, and cleared; its memory is used
/// again.
public struct Chunk<Element>: ~Copyable {
  /// How many elements a source puts into one chunk.
  @inlinable public static var usualCapacity: Int { 1024 }

  @usableFromInline var base: UnsafeMutablePointer<Element>
  @usableFromInline var capacity: Int
  @usableFromInline var used: Int
  /// Of a type that refers to memory in one place only, which is a `Bytes` value: where in the element that reference
  /// stands. Else -1.
  @usableFromInline let referenceOffset: Int

  /// - Parameter capacity: elements to make room for at first; more make it grow.
  @inlinable public init(capacity: Int = Self.usualCapacity) {
    base = .allocate(capacity: capacity)
    self.capacity = capacity
    used = 0
    referenceOffset =
      _isPOD(Element.self) ? -1 : Element.self == Bytes.self ? 0 : ElementReference.offset(in: Element.self)
  }

  @inlinable deinit {
    endEach(base, count, referenceOffset)
    base.deallocate()
  }

  /// Elements in the chunk.
  @inlinable public var count: Int { used }

  /// Adds an element at the end; amortised O(1).
  @inlinable public mutating func append(_ element: consuming Element) {
    if count == capacity { grow() }
    (base + count).initialize(to: element)
    used &+= 1
  }

  @inlinable @inline(never) mutating func grow() {
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
    larger.moveInitialize(from: base, count: count)
    base.deallocate()
    base = larger
    capacity *= 2
  }

  /// The elements, lent: valid until the chunk is changed.
  @inlinable public var view: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: base, count: count) }

  /// Removes the elements and keeps the memory.
  @inlinable public mutating func clear() {
    endEach(base, count, referenceOffset)
    used = 0
  }

  /// Hands over each element for good, in order, and leaves the chunk empty; also where `take` throws.
  @inlinable @inline(__always) mutating func drain(_ take: (consuming Element) throws -> Void) rethrows {
    let count = used
    var next = 0
    used = 0
    defer { if next < count { endEach(base + next, count &- next, referenceOffset) } }
    while next < count {
      next &+= 1
      try take((base + (next &- 1)).move())
    }
  }

  /// As `drain`, for the elements that `isTaken` wants; the others end here.
  @inlinable @inline(__always) mutating func drain(
    where isTaken: (Element) throws -> Bool, _ take: (consuming Element) -> Void
  ) rethrows {
    let count = used
    var next = 0
    used = 0
    defer { if next < count { endEach(base + next, count &- next, referenceOffset) } }
    while next < count {
      if try isTaken(base[next]) {
        take((base + next).move())
      } else {
        endEach(base + next, 1, referenceOffset)
      }
      next &+= 1
    }
  }
}

/// Ends the lives of `count` elements, one by one: in specialised code that is a release each, where the standard
/// library's own call goes through the type's description at run time.
@inlinable func deinitializeEach<Element>(_ base: UnsafeMutablePointer<Element>, _ count: Int) {
  if _isPOD(Element.self) { return }
  for index in 0..<count { (base + index).deinitialize(count: 1) }
}

/// As `deinitializeEach`, of elements whose only reference stands at an offset (see `ElementReference`): short texts have
/// none, and looking is several times cheaper than a release of nothing.
@inlinable @inline(__always)
func endEach<Element>(_ base: UnsafeMutablePointer<Element>, _ count: Int, _ referenceOffset: Int) {
  if _isPOD(Element.self) { return }
  if referenceOffset < 0 { return deinitializeEach(base, count) }
  for index in 0..<count
  where UnsafeRawPointer(base + index).load(fromByteOffset: referenceOffset, as: UInt.self) != 0 {
    (base + index).deinitialize(count: 1)
  }
}

/// Where a type's values refer to memory.
@usableFromInline enum ElementReference {
  /// The offset of the only reference in a value of the type, where that is the owner of a `Bytes`: a tuple of one `Bytes`
  /// and plain values, however nested. Else -1.
  ///
  /// Some hundred nanoseconds: for once a chunk's life.
  @usableFromInline static func offset(in type: Any.Type) -> Int { find(in: type) ?? -1 }

  private static func find(in type: Any.Type) -> Int? {
    // An inline value's owner is nil, which is a word of zeros.
    if type == Bytes.self { return Bytes.ownerOffset }
    guard let elements = TupleLayout.elements(of: type) else { return nil }
    var found: Int?
    for element in elements where !isPlain(element.type) {
      guard found == nil, let offset = find(in: element.type) else { return nil }
      found = element.offset + offset
    }
    return found
  }

  private static func isPlain(_ type: Any.Type) -> Bool {
    func open<T>(_ type: T.Type) -> Bool { _isPOD(T.self) }
    return open(type)
  }
}
