import Groundwork

/// A hash table that iterates in the order of insertion: entries stand in one buffer, and an open-addressing index of
/// 32-bit entry numbers points to them.
///
/// The order does not depend on the process's hash seed, so a replay sees the same one. Lookup and insertion are O(1)
/// expected; there is no removal. At most 2^31 entries. A key that is `Bytes` is kept in memory of its own (see `detached`).
public struct OrderedTable<Key: Hashable, Value>: ~Copyable {
  /// Key and value side by side: what finds the key has the value's cache line as well.
  @usableFromInline var entries: UnsafeMutablePointer<(Key, Value)>
  @usableFromInline var capacity: Int
  @usableFromInline var used: Int
  /// 0 is empty; else the low half is the entry's number plus 1, the high half that of the key's hash: to compare first,
  /// and to find the slot's place in a larger table without a look at its key.
  @usableFromInline var slots: UnsafeMutablePointer<UInt64>
  /// The slots' count is 1 << slotBits; at most three quarters are used.
  @usableFromInline var slotBits: UInt64
  /// The hashes of the elements that `merge` looks ahead at.
  @usableFromInline let hashes: UnsafeMutablePointer<UInt64>

  /// - Parameter capacity: entries to make room for at first.
  @inlinable public init(capacity: Int = 16) {
    let wanted = max(capacity, 12)
    var bits: UInt64 = 4
    while (1 << bits) * 3 / 4 < wanted { bits += 1 }
    slotBits = bits
    self.capacity = (1 << Int(bits)) * 3 / 4
    entries = .allocate(capacity: self.capacity)
    slots = .allocate(capacity: 1 << Int(bits))
    slots.initialize(repeating: 0, count: 1 << Int(bits))
    used = 0
    hashes = .allocate(capacity: Self.lookahead)
  }

  @inlinable deinit {
    hashes.deallocate()
    deinitializeEach(entries, count)
    entries.deallocate()
    slots.deallocate()
  }

  /// Entries in the table.
  @inlinable public var count: Int { used }

  @inlinable static func hash(_ key: Key) -> UInt64 { UInt64(bitPattern: Int64(key._rawHashValue(seed: 0))) }

  /// The number of the key's entry, which is made by `initial` where there is none; `isNew` says so.
  @inlinable public mutating func entry(
    _ key: Key, _ initial: @autoclosure () throws -> Value
  ) rethrows -> (index: Int, isNew: Bool) {
    try entry(key, hash: OrderedTable.hash(key), try initial())
  }

  @inlinable mutating func entry(
    _ key: Key, hash: UInt64, _ initial: @autoclosure () throws -> Value
  ) rethrows -> (index: Int, isNew: Bool) {
    let mask = (1 &<< slotBits) &- 1 as UInt64
    var slot = hash &>> (64 &- slotBits)
    let tag = hash & 0xFFFF_FFFF_0000_0000
    while true {
      let found = slots[Int(truncatingIfNeeded: slot)]
      if found == 0 { break }
      if found & 0xFFFF_FFFF_0000_0000 == tag {
        let index = Int(truncatingIfNeeded: found & 0xFFFF_FFFF) &- 1
        if entries[index].0 == key { return (index, false) }
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
    (entries + count).initialize(to: (detached(key), value))
    used &+= 1
    return (count &- 1, true)
  }

  /// Finds or makes the entry of each element's key, in order: `initial` gives a new entry's value, `update` changes that
  /// of an old one.
  ///
  /// Some elements ahead, the memory that a lookup will need is fetched: a table larger than the cache is then bounded by
  /// the memory's throughput instead of its latency, which is what a lookup at a time waits for.
  @inlinable @inline(__always) public mutating func merge<Element>(
    _ elements: UnsafeBufferPointer<Element>, key: (Element) -> Key, initial: (Element) throws -> Value,
    update: (inout Value, Element) throws -> Void
  ) rethrows {
    guard let base = elements.baseAddress else { return }
    var start = 0
    while start < elements.count {
      let count = Swift.min(Self.lookahead, elements.count &- start)
      for offset in 0..<count {
        let hash = lend(base + (start &+ offset)) { OrderedTable.hash(key($0)) }
        hashes[offset] = hash
        prefetch(slots + Int(truncatingIfNeeded: hash &>> (64 &- slotBits)))
      }
      for offset in 0..<count {
        let found = slots[Int(truncatingIfNeeded: hashes[offset] &>> (64 &- slotBits))]
        // For an empty slot this is the address before the first entry: a prefetch does not read.
        let index = Int(truncatingIfNeeded: found & 0xFFFF_FFFF) &- 1
        prefetch(UnsafeRawPointer(entries) + index &* MemoryLayout<(Key, Value)>.stride)
      }
      for offset in 0..<count {
        try lend(base + (start &+ offset)) { element in
          let (index, isNew) = try entry(key(element), hash: hashes[offset], try initial(element))
          if !isNew { try update(&entries[index].1, element) }
        }
      }
      start &+= count
    }
  }

  /// How many elements `merge` looks ahead.
  @inlinable static var lookahead: Int { 16 }

  /// The number of the key's entry, nil where there is none.
  @inlinable public func find(_ key: Key) -> Int? {
    let hash = OrderedTable.hash(key)
    let mask = (1 &<< slotBits) &- 1 as UInt64
    var slot = hash &>> (64 &- slotBits)
    let tag = hash & 0xFFFF_FFFF_0000_0000
    while true {
      let found = slots[Int(truncatingIfNeeded: slot)]
      if found == 0 { return nil }
      if found & 0xFFFF_FFFF_0000_0000 == tag {
        let index = Int(truncatingIfNeeded: found & 0xFFFF_FFFF) &- 1
        if entries[index].0 == key { return index }
      }
      slot = (slot &+ 1) & mask
    }
  }

  @inlinable mutating func insertSlot(_ hash: UInt64, index: Int) {
    put(hash & 0xFFFF_FFFF_0000_0000 | UInt64(truncatingIfNeeded: index &+ 1))
  }

  /// Puts a slot at its place, which is known by its upper half.
  @inlinable mutating func put(_ filled: UInt64) {
    let mask = (1 &<< slotBits) &- 1 as UInt64
    var slot = filled &>> (64 &- slotBits)
    while slots[Int(truncatingIfNeeded: slot)] != 0 { slot = (slot &+ 1) & mask }
    slots[Int(truncatingIfNeeded: slot)] = filled
  }

  /// Slots stand in the order of their hashes, but for a few steps, and do so again in the larger table: both are walked
  /// from one end to the other, and no key is looked at.
  @inlinable @inline(never) mutating func grow() {
    let (oldSlots, oldCount) = (slots, 1 << Int(slotBits))
    slotBits += 1
    let newCapacity = (1 << Int(slotBits)) * 3 / 4
    let newEntries = UnsafeMutablePointer<(Key, Value)>.allocate(capacity: newCapacity)
    newEntries.moveInitialize(from: entries, count: count)
    entries.deallocate()
    entries = newEntries
    capacity = newCapacity
    slots = .allocate(capacity: 1 << Int(slotBits))
    slots.initialize(repeating: 0, count: 1 << Int(slotBits))
    for slot in 0..<oldCount where oldSlots[slot] != 0 { put(oldSlots[slot]) }
    oldSlots.deallocate()
  }

  /// The key of the entry with this number.
  @inlinable public func key(at index: Int) -> Key {
    precondition(index >= 0 && index < count)
    return entries[index].0
  }

  /// The value of the entry with this number.
  @inlinable public subscript(index: Int) -> Value {
    get {
      precondition(index >= 0 && index < count)
      return entries[index].1
    }
    _modify {
      precondition(index >= 0 && index < count)
      yield &entries[index].1
    }
  }

  /// Combines `value` into the key's entry, or makes it the entry.
  @inlinable public mutating func merge(_ key: Key, _ value: Value, _ combine: (Value, Value) throws -> Value) rethrows
  {
    let (index, isNew) = entry(key, value)
    if !isNew { entries[index].1 = try combine(entries[index].1, value) }
  }

  /// The entries in the order of insertion, lent: valid until the table is changed.
  @inlinable public var view: UnsafeBufferPointer<(Key, Value)> { UnsafeBufferPointer(start: entries, count: count) }

  /// Hands over all entries as pairs, in the order of insertion, a chunk at a time.
  @inlinable public func emitPairs(_ emit: (UnsafeBufferPointer<(Key, Value)>) throws -> Void) rethrows {
    var position = 0
    while position < count {
      let end = Swift.min(position &+ Chunk<(Key, Value)>.usualCapacity, count)
      try emit(UnsafeBufferPointer(rebasing: view[position..<end]))
      position = end
    }
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
