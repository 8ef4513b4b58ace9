/// The values of one key, in order: the first stands inline, so that a key with one value, as most have in a join, takes no
/// memory of its own.
@usableFromInline package struct GroupedValues<Value> {
  @usableFromInline var first: Value?
  @usableFromInline var others: [Value] = []

  /// No values.
  @inlinable package init() {}

  /// These values.
  @inlinable init(_ values: [Value]) {
    first = values.first
    others = Array(values.dropFirst())
  }

  /// Whether there are none.
  @inlinable package var isEmpty: Bool { first == nil }

  /// How many there are.
  @inlinable package var count: Int { first == nil ? 0 : others.count + 1 }

  /// Adds a value behind the others; amortised O(1).
  @inlinable package mutating func append(_ value: Value) {
    if first == nil { first = value } else { others.append(value) }
  }

  /// Adds values behind the others.
  @inlinable package mutating func append(_ more: GroupedValues) {
    if isEmpty {
      self = more
    } else {
      more.each { others.append($0) }
    }
  }

  /// Calls `body` with each value, in order.
  @inlinable @inline(__always) package func each(_ body: (Value) throws -> Void) rethrows {
    guard let first else { return }
    try body(first)
    if others.isEmpty { return }
    for value in others { try body(value) }
  }

  /// All of them. O(n).
  @inlinable package var array: [Value] {
    guard let first else { return [] }
    var array: [Value] = []
    array.reserveCapacity(others.count + 1)
    array.append(first)
    array.append(contentsOf: others)
    return array
  }
}

extension GroupedValues: Sendable where Value: Sendable {}
