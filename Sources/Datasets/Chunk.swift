/// Elements that move together from operator to operator: about 1,024 of them in contiguous memory.
///
/// A chunk is filled by one operator, lent to the next as a buffer, and cleared; its memory is used again.
public struct Chunk<Element>: ~Copyable {
  /// How many elements a source puts into one chunk.
  @inlinable public static var usualCapacity: Int { 1024 }

  @usableFromInline var base: UnsafeMutablePointer<Element>
  @usableFromInline var capacity: Int
  @usableFromInline var used: Int

  /// - Parameter capacity: elements to make room for at first; more make it grow.
  @inlinable public init(capacity: Int = Self.usualCapacity) {
    base = .allocate(capacity: capacity)
    self.capacity = capacity
    used = 0
  }

  @inlinable deinit {
    deinitializeEach(base, count)
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
    deinitializeEach(base, count)
    used = 0
  }
}

/// Ends the lives of `count` elements, one by one: in specialised code that is a release each, where the standard
/// library's own call goes through the type's description at run time.
@inlinable func deinitializeEach<Element>(_ base: UnsafeMutablePointer<Element>, _ count: Int) {
  if _isPOD(Element.self) { return }
  for index in 0..<count { (base + index).deinitialize(count: 1) }
}
