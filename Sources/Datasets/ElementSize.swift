import Groundwork

/// An estimate of the memory that elements take, for bounding what is kept.
enum ElementSize {
  /// How many elements are looked at; the others are taken to be like them.
  private static let sampleCount = 32

  /// Bytes in the array itself and, by sample, of what its elements refer to.
  static func estimate<Element>(_ elements: ContiguousArray<Element>) -> Int {
    let inline = MemoryLayout<Element>.stride * elements.count
    guard !_isPOD(Element.self), !elements.isEmpty else { return inline }
    let step = max(1, elements.count / sampleCount)
    var sampled = 0
    var outside = 0
    for index in stride(from: 0, to: elements.count, by: step) {
      sampled += 1
      outside += bytesOutside(elements[index], depth: 0)
    }
    return inline + outside * elements.count / sampled
  }

  /// Bytes on the heap that belong to one value: exact for texts and `Bytes`, by reflection for what is made of them.
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
