import Groundwork

/// A number that follows from an element's content, for any type: equal elements have equal numbers, within one process.
/// Two computations of the same records are compared by it.
///
/// By the canonical encoding where the type has one; a tuple, an optional or an array by its parts; else by its hash, else by
/// its description.
///
/// Sendable: its function captures types and offsets, all of them constant.
package struct ElementDigest<Element>: @unchecked Sendable {
  private let digest: (UnsafeRawPointer) -> UInt64

  /// Looks through the type. Takes about a microsecond.
  package init() { digest = DigestChoice.find(Element.self) }

  /// The number of an element. O(its size).
  package func callAsFunction(_ element: Element) -> UInt64 {
    withUnsafePointer(to: element) { digest(UnsafeRawPointer($0)) }
  }
}

/// A container that is compared by its elements, whatever they are: tuples too.
private protocol DigestibleContainer {
  static var containerDigest: (UnsafeRawPointer) -> UInt64 { get }
}

extension Array: DigestibleContainer {
  fileprivate static var containerDigest: (UnsafeRawPointer) -> UInt64 {
    let element = DigestChoice.find(Element.self)
    return { address in
      var sum = DigestChoice.seed
      for value in address.assumingMemoryBound(to: [Element].self).pointee {
        sum = Hash64.short(sum, withUnsafePointer(to: value) { element(UnsafeRawPointer($0)) }, seed: DigestChoice.seed)
      }
      return sum
    }
  }
}

extension Optional: DigestibleContainer {
  fileprivate static var containerDigest: (UnsafeRawPointer) -> UInt64 {
    let wrapped = DigestChoice.find(Wrapped.self)
    return { address in
      guard let value = address.assumingMemoryBound(to: Wrapped?.self).pointee else { return 0 }
      return Hash64.short(withUnsafePointer(to: value) { wrapped(UnsafeRawPointer($0)) }, 1, seed: DigestChoice.seed)
    }
  }
}

/// Chooses how values of a type known at run time are digested; by address, so that a tuple is its elements.
private enum DigestChoice {
  static let seed: UInt64 = 0x243F_6A88_85A3_08D3

  static func find(_ type: Any.Type) -> (UnsafeRawPointer) -> UInt64 {
    if let elements = TupleLayout.elements(of: type) {
      let parts = elements.map { (digest: find($0.type), offset: $0.offset) }
      return { address in
        parts.reduce(seed) { sum, part in Hash64.short(sum, part.digest(address + part.offset), seed: seed) }
      }
    }
    if let type = type as? any StreamCodable.Type { return coded(type) }
    if let type = type as? any DigestibleContainer.Type { return type.containerDigest }
    if let type = type as? any Hashable.Type { return hashed(type) }
    func open<Value>(_ type: Value.Type) -> (UnsafeRawPointer) -> UInt64 { described(type) }
    return _openExistential(type, do: open)
  }

  private static func coded<Value: StreamCodable>(_ type: Value.Type) -> (UnsafeRawPointer) -> UInt64 {
    { address in address.assumingMemoryBound(to: Value.self).pointee.streamHash }
  }

  private static func hashed<Value: Hashable>(_ type: Value.Type) -> (UnsafeRawPointer) -> UInt64 {
    { address in
      UInt64(bitPattern: Int64(address.assumingMemoryBound(to: Value.self).pointee._rawHashValue(seed: 0)))
    }
  }

  private static func described<Value>(_ type: Value.Type) -> (UnsafeRawPointer) -> UInt64 {
    { address in String(describing: address.assumingMemoryBound(to: Value.self).pointee).streamHash }
  }
}

extension RDD {
  /// The same elements; the task that computes them tells `visit` of each, in their order.
  package func watched(_ visit: @escaping (Element) -> Void) -> RDD<Element> {
    // Sendable: the dataset belongs to one task attempt, which computes it on its own thread.
    nonisolated(unsafe) let visit = visit
    return RDD(
      context, label: label, partitionCount: partitionCount, dependencies: [.narrow(self)], partitioning: partitioning
    ) { [self] partition, task, emit in
      try compute(partition, task) { view in
        for element in view { visit(element) }
        try emit(view)
      }
    }
  }
}
