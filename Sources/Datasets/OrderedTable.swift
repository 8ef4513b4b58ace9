import Groundwork

/// A hash table that iterates in the order of insertion: entries stand in two parallel buffers, and an open-addressing
/// index of 32-bit entry numbers points to them.
///
/// The order does not depend on the process's hash seed, so a replay sees the same one. Lookup and insertion are O(1)
/// expected; there is no removal. At most 2^31 entries. A key that is `Bytes` is kept in memory of its own (see `detached`).
public struct OrderedTable<Key: Hashable, Value>: ~Copyable {
  @usableFromInline var keys: UnsafeMutablePointer<Key>
  @usableFromInline var values: UnsafeMutablePointer<Value>
  @usableFromInline var capacity: Int
  @usableFromInline var used: Int
  /// 0 is empty; else the low half is the entry's number plus 1, the high half the hash's low half to compare first.
  @usableFromInline var slots: UnsafeMutablePointer<UInt64>
  /// The slots' count is 1 << slotBits; at most three quarters are used.
  @usableFromInline var slotBits: UInt64

  /// - Parameter capacity: entries to make room for at first.
  @inlinable public init(capacity: Int = 16) {
    let entries = max(capacity, 12)
    var bits: UInt64 = 4
    while (1 << bits) * 3 / 4 < entries { bits += 1 }
    slotBits = bits
    self.capacity = (1 << Int(bits)) * 3 / 4
    keys = .allocate(capacity: self.capacity)
    values = .allocate(capacity: self.capacity)
    slots = .allocate(capacity: 1 << Int(bits))
    slots.initialize(repeating: 0, count: 1 << Int(bits))
    used = 0
  }

  @inlinable deinit {
    keys.deinitialize(count: count)
    values.deinitialize(count: count)
    keys.deallocate()
    values.deallocate()
    slots.deallocate()
  }

  @inlinable public var count: Int { used }

  @inlinable static func hash(_ key: Key) -> UInt64 { UInt64(bitPattern: Int64(key._rawHashValue(seed: 0))) }

  /// The number of the key's entry, which is made by `initial` where there is none; `isNew` says so.
  @inlinable public mutating func entry(
    _ key: Key, _ initial: @autoclosure () throws -> Value
  ) rethrows -> (index: Int, isNew: Bool) {
    let hash = OrderedTable.hash(key)
    let mask = (1 &<< slotBits) &- 1 as UInt64
    var slot = hash &>> (64 &- slotBits)
    let tag = hash &<< 32
    while true {
      let found = slots[Int(truncatingIfNeeded: slot)]
      if found == 0 { break }
      if found & 0xFFFF_FFFF_0000_0000 == tag {
        let index = Int(truncatingIfNeeded: found & 0xFFFF_FFFF) &- 1
        if keys[index] == key { return (index, false) }
      }
      slot = (slot &+ 1) & mask
    }
    let value = detached(try initial())
    if count == capacity {
      grow()
      insertSlot(hash, index: count)
    } else {
      slots[Int(truncatingIfNeeded: slot)] = tag | UInt64(truncatingIfNeeded: count &+ 1)
    }
    (keys + count).initialize(to: detached(key))
    (values + count).initialize(to: value)
    used &+= 1
    return (count &- 1, true)
  }

  /// The number of the key's entry, nil where there is none.
  @inlinable public func find(_ key: Key) -> Int? {
    let hash = OrderedTable.hash(key)
    let mask = (1 &<< slotBits) &- 1 as UInt64
    var slot = hash &>> (64 &- slotBits)
    let tag = hash &<< 32
    while true {
      let found = slots[Int(truncatingIfNeeded: slot)]
      if found == 0 { return nil }
      if found & 0xFFFF_FFFF_0000_0000 == tag {
        let index = Int(truncatingIfNeeded: found & 0xFFFF_FFFF) &- 1
        if keys[index] == key { return index }
      }
      slot = (slot &+ 1) & mask
    }
  }

  @inlinable mutating func insertSlot(_ hash: UInt64, index: Int) {
    let mask = (1 << slotBits) - 1 as UInt64
    var slot = hash &>> (64 &- slotBits)
    while slots[Int(slot)] != 0 { slot = (slot + 1) & mask }
    slots[Int(slot)] = hash << 32 | UInt64(index + 1)
  }

  @inlinable mutating func grow() {
    slotBits += 1
    let newCapacity = (1 << Int(slotBits)) * 3 / 4
    let newKeys = UnsafeMutablePointer<Key>.allocate(capacity: newCapacity)
    newKeys.moveInitialize(from: keys, count: count)
    keys.deallocate()
    keys = newKeys
    let newValues = UnsafeMutablePointer<Value>.allocate(capacity: newCapacity)
    newValues.moveInitialize(from: values, count: count)
    values.deallocate()
    values = newValues
    capacity = newCapacity
    slots.deallocate()
    slots = .allocate(capacity: 1 << Int(slotBits))
    slots.initialize(repeating: 0, count: 1 << Int(slotBits))
    for index in 0..<count { insertSlot(OrderedTable.hash(keys[index]), index: index) }
  }

  @inlinable public func key(at index: Int) -> Key {
    precondition(index >= 0 && index < count)
    return keys[index]
  }

  @inlinable public subscript(index: Int) -> Value {
    get {
      precondition(index >= 0 && index < count)
      return values[index]
    }
    _modify {
      precondition(index >= 0 && index < count)
      yield &values[index]
    }
  }

  /// Combines `value` into the key's entry, or makes it the entry.
  @inlinable public mutating func merge(_ key: Key, _ value: Value, _ combine: (Value, Value) throws -> Value) rethrows
  {
    let (index, isNew) = entry(key, value)
    if !isNew { values[index] = try combine(values[index], value) }
  }

  /// Hands over the entries from `start` on, at most `limit` of them, as pairs in the chunk; gives how many.
  @inlinable public func copyPairs(from start: Int, limit: Int, into chunk: inout Chunk<(Key, Value)>) -> Int {
    let end = Swift.min(count, start &+ limit)
    for index in start..<end { chunk.append((keys[index], values[index])) }
    return end &- start
  }
}

/// The same value in memory of its own: a `Bytes` slice would keep the whole arena of its task alive. Everything that
/// outlives a task passes through here once; types other than `Bytes` are returned as they are.
@inlinable public func detached<Value>(_ value: Value) -> Value {
  if Value.self == Bytes.self {
    return unsafeBitCast(unsafeBitCast(value, to: Bytes.self).copied, to: Value.self)  // the same type, checked above
  }
  return value
}
