import Groundwork

/// How much memory values of one type take outside of themselves: texts, arrays, what they refer to. Found once for a
/// type; asking it of a value costs some nanoseconds.
@usableFromInline struct ElementSize: Sendable {
  /// Bytes on the heap that belong to the value at the address; nil: values of this type never have any.
  let outside: (@Sendable (UnsafeRawPointer) -> Int)?

  /// How many elements are looked at; the others are taken to be like them.
  private static let sampleCount = 32

  /// Of a type.
  static func find(_ type: Any.Type) -> ElementSize {
    if isPlain(type) { return ElementSize(outside: nil) }
    if type == Bytes.self {
      return ElementSize { address in
        let count = address.assumingMemoryBound(to: Bytes.self).pointee.count
        return count > Bytes.inlineCapacity ? count : 0
      }
    }
    if type == String.self {
      return ElementSize { address in
        let count = address.assumingMemoryBound(to: String.self).pointee.utf8.count
        return count > 15 ? count + 32 : 0
      }
    }
    if let elements = TupleLayout.elements(of: type) {
      let parts = elements.compactMap { element in
        find(element.type).outside.map { (outside: $0, offset: element.offset) }
      }
      return ElementSize { address in
        var sum = 0
        for part in parts { sum += part.outside(address + part.offset) }
        return sum
      }
    }
    if let array = type as? any SizedArray.Type { return array.arraySize }
    return reflecting(type)
  }

  private static func isPlain(_ type: Any.Type) -> Bool {
    func open<T>(_ type: T.Type) -> Bool { _isPOD(T.self) }
    return open(type)
  }

  private static func reflecting(_ type: Any.Type) -> ElementSize {
    func open<T>(_ type: T.Type) -> ElementSize {
      ElementSize { bytesOutside($0.assumingMemoryBound(to: T.self).pointee, depth: 0) }
    }
    return open(type)
  }

  /// Bytes outside of `count` elements that stand `stride` bytes apart, by sample.
  func estimate(_ base: UnsafeRawPointer, count: Int, stride: Int) -> Int {
    guard let outside, count > 0 else { return 0 }
    let step = max(1, count / ElementSize.sampleCount)
    var sampled = 0
    var sum = 0
    for index in Swift.stride(from: 0, to: count, by: step) {
      sampled += 1
      sum += outside(base + index * stride)
    }
    return sum / sampled * count + sum % sampled * count / sampled
  }

  /// Bytes in the elements themselves and, by sample, of what they refer to.
  /// - Parameter locals: keep what was found out about the type.
  static func estimate<Element>(_ elements: UnsafeBufferPointer<Element>, _ locals: ExecutorLocals) -> Int {
    let inline = MemoryLayout<Element>.stride * elements.count
    guard !_isPOD(Element.self), let base = elements.baseAddress, elements.count > 0 else { return inline }
    let size = locals.object(ElementSizes.self) { ElementSizes() }.size(Element.self)
    return inline + size.estimate(base, count: elements.count, stride: MemoryLayout<Element>.stride)
  }

  /// Bytes on the heap that belong to a value of a type that only reflection knows.
  static func bytesOutside(_ value: Any, depth: Int) -> Int {
    switch value {
    case let bytes as Bytes: return bytes.count > Bytes.inlineCapacity ? bytes.count : 0
    case let text as String: return text.utf8.count > 15 ? text.utf8.count + 32 : 0
    case is any BinaryInteger, is any BinaryFloatingPoint, is Bool: return 0
    default:
      guard depth < 4 else { return 16 }
      let mirror = Mirror(reflecting: value)
      // A collection's own buffer, and at most the first of its elements in depth.
      if mirror.displayStyle == .collection || mirror.displayStyle == .set || mirror.displayStyle == .dictionary {
        guard let first = mirror.children.first else { return 0 }
        return mirror.children.count * (16 + bytesOutside(first.value, depth: depth + 1))
      }
      return (mirror.displayStyle == .class ? 32 : 0)
        + mirror.children.reduce(0) { $0 + bytesOutside($1.value, depth: depth + 1) }
    }
  }
}

/// What is known of types' sizes, so that it is found out once an executor and not once a task.
///
/// Belongs to one executor.
private final class ElementSizes {
  private var sizes: [ObjectIdentifier: ElementSize] = [:]

  func size(_ type: Any.Type) -> ElementSize {
    if let size = sizes[ObjectIdentifier(type)] { return size }
    let size = ElementSize.find(type)
    sizes[ObjectIdentifier(type)] = size
    return size
  }
}

/// An array, whatever it is of.
private protocol SizedArray {
  static var arraySize: ElementSize { get }
}

extension GroupedValues: SizedArray {
  fileprivate static var arraySize: ElementSize {
    let first = ElementSize.find(Value.self)
    let others = [Value].arraySize
    return ElementSize { address in
      let values = address.assumingMemoryBound(to: Self.self)
      let inside = values.pointee.first.map { value in
        withUnsafePointer(to: value) { first.outside?(UnsafeRawPointer($0)) ?? 0 }
      }
      return (inside ?? 0) + withUnsafePointer(to: values.pointee.others) { others.outside?(UnsafeRawPointer($0)) ?? 0 }
    }
  }
}

extension Array: SizedArray {
  fileprivate static var arraySize: ElementSize {
    let element = ElementSize.find(Element.self)
    return ElementSize { address in
      address.assumingMemoryBound(to: Self.self).pointee.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress, !buffer.isEmpty else { return 0 }
        return 32 + buffer.count * MemoryLayout<Element>.stride
          + element.estimate(base, count: buffer.count, stride: MemoryLayout<Element>.stride)
      }
    }
  }
}
