/// Hands an element that is lent to a function without counting its references: copying a record of a few texts for each
/// call of a filter costs more than most filters.
///
/// Safe: whoever lends the element holds it, unchanged, until the call returns. The value that `body` sees is the same
/// bits, which own nothing: they are moved out of a slot that was never given a reference and moved back into it, and the
/// slot is never destroyed, so nothing is released that was not retained. A copy that `body` makes has a count of its own.
@inlinable @inline(__always) func lend<Element, Result>(
  _ element: UnsafePointer<Element>, _ body: (Element) throws -> Result
) rethrows -> Result {
  if _isPOD(Element.self) { return try body(element.pointee) }
  return try withUnsafeTemporaryAllocation(of: Element.self, capacity: 1) { slots in
    let slot = slots.baseAddress.unsafelyUnwrapped
    UnsafeMutableRawPointer(slot).copyMemory(from: element, byteCount: MemoryLayout<Element>.size)
    let lent = slot.move()
    defer { slot.initialize(to: lent) }
    return try body(lent)
  }
}

extension UnsafeBufferPointer {
  /// Calls `body` with each element, in order, by `lend`.
  @inlinable @inline(__always) func lendEach(_ body: (Element) throws -> Void) rethrows {
    guard let base = baseAddress else { return }
    for index in 0..<count { try lend(base + index, body) }
  }
}
