import Groundwork

/// Gives values of one type memory of their own, before they are kept beyond a batch: see `Detachable`. Made once for an
/// operator or a task; then a type that holds no `Bytes` costs one comparison a value.
///
/// Sendable: constant.
@frozen public struct Detacher<Value>: Sendable {
  @usableFromInline let detachment: Detachment?

  /// Looks through the type. Takes about a microsecond.
  public init() { detachment = Detachment.find(Value.self) }

  /// Whether values of the type can share memory, as far as that is known.
  public var isNeeded: Bool { detachment != nil }

  /// The same value in memory of its own.
  @inlinable public func callAsFunction(_ value: Value) -> Value {
    guard let detachment else { return value }
    var own = value
    withUnsafeMutablePointer(to: &own) { detachment.apply(UnsafeMutableRawPointer($0)) }
    return own
  }
}

/// How values of a type known at run time are detached in place; by address, so that a tuple is its elements.
///
/// Sendable: its function captures types, offsets and other detachments, all of them constant.
@usableFromInline package struct Detachment: @unchecked Sendable {
  @usableFromInline let apply: (UnsafeMutableRawPointer) -> Void

  /// nil where there is nothing to detach, or nobody says how.
  package static func find(_ type: Any.Type) -> Detachment? {
    if let elements = TupleLayout.elements(of: type) { return tuple(elements) }
    if let container = type as? any DetachableContainer.Type { return container.containerDetachment }
    if let detachable = type as? any Detachable.Type { return conforming(detachable) }
    return nil
  }

  static func make<Value>(_ type: Value.Type, _ detach: @escaping (inout Value) -> Void) -> Detachment {
    Detachment { detach(&$0.assumingMemoryBound(to: Value.self).pointee) }
  }

  /// Of a value that is detached by its parts of one type.
  /// - Parameter lend: lends each part to its second argument.
  package static func part<Value, Part>(
    _ lend: @escaping (inout Value, (inout Part) -> Void) -> Void
  ) -> Detachment? {
    find(Part.self).map { part in
      make(Value.self) { value in
        lend(&value) { withUnsafeMutablePointer(to: &$0) { part.apply(UnsafeMutableRawPointer($0)) } }
      }
    }
  }

  private static func conforming<Value: Detachable>(_ type: Value.Type) -> Detachment { make(type) { $0.detach() } }

  private static func tuple(_ elements: [(type: Any.Type, offset: Int)]) -> Detachment? {
    let parts = elements.compactMap { element in find(element.type).map { (detachment: $0, offset: element.offset) } }
    return parts.isEmpty
      ? nil : Detachment { address in for part in parts { part.detachment.apply(address + part.offset) } }
  }
}

/// A container that is detached by its elements, whatever they are: tuples too.
package protocol DetachableContainer {
  /// nil where there is nothing to detach.
  static var containerDetachment: Detachment? { get }
}

extension Array: DetachableContainer {
  /// Of each element.
  package static var containerDetachment: Detachment? {
    Detachment.find(Element.self).map { element in
      Detachment.make(Self.self) { array in
        array.withUnsafeMutableBufferPointer { view in
          for index in view.indices { element.apply(UnsafeMutableRawPointer(view.baseAddress! + index)) }
        }
      }
    }
  }
}

extension Optional: DetachableContainer {
  /// Of the value that is there.
  package static var containerDetachment: Detachment? {
    Detachment.find(Wrapped.self).map { wrapped in
      Detachment.make(Self.self) { optional in
        guard var value = optional else { return }
        withUnsafeMutablePointer(to: &value) { wrapped.apply(UnsafeMutableRawPointer($0)) }
        optional = value
      }
    }
  }
}
