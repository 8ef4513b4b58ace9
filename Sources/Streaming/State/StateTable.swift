import Datasets
import Groundwork

/// The state of one operator in one partition: a hash table with removal, in memory from batch to batch.
///
/// It is a value: a task reads a copy (which costs nothing), and the changes of a committed batch are put into the
/// original, in place unless a straggler of an earlier batch still holds its copy. Entries keep their number until they
/// are removed, so that a snapshot can walk over them a slice at a time while batches go on.
@usableFromInline package struct StateTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  @usableFromInline struct Entry: Sendable {
    @usableFromInline var key: Key
    @usableFromInline var value: Value
    /// In milliseconds; `.max` for none.
    @usableFromInline var deadline: Int64
    /// When the entry's timer stands in the heap: at or before the deadline; `.max` where it has none. A deadline that
    /// moves away leaves the timer where it is, to be looked at when it is due: touching a key costs no heap operation.
    @usableFromInline var scheduled: Int64

    @inlinable init(key: Key, value: Value, deadline: Int64) {
      self.key = key
      self.value = value
      self.deadline = deadline
      scheduled = .max
    }
  }
  @usableFromInline var entries: ContiguousArray<Entry?> = []
  @usableFromInline var free: ContiguousArray<Int> = []
  /// 0 is empty; else the low half is the entry's number plus 1, the high half that of the key's hash: to compare first,
  /// and to find the slot's place without a look at its key.
  @usableFromInline var slots: ContiguousArray<UInt64>
  @usableFromInline var slotBits: UInt64 = 4
  @usableFromInline var timers = TimerHeap()

  @usableFromInline package init() { slots = ContiguousArray(repeating: 0, count: 16) }

  /// Keys in the table.
  @inlinable package var count: Int { entries.count - free.count }
  /// Bytes that the table takes, without what keys and values refer to.
  package var allocatedBytes: Int {
    entries.capacity * MemoryLayout<Entry?>.stride + (slots.capacity + free.capacity) * 8
  }
  /// Timers kept, due ones that have moved included.
  package var timerCount: Int { timers.timers.count }
  /// One more than the largest number of an entry.
  @usableFromInline package var entryLimit: Int { entries.count }

  @inlinable static func hash(_ key: Key) -> UInt64 { UInt64(bitPattern: Int64(key._rawHashValue(seed: 0))) }

  /// The number of the key's entry. O(1) expected.
  @inlinable func find(_ key: Key) -> Int? { find(key, hash: Self.hash(key)) }

  @inlinable func find(_ key: Key, hash: UInt64) -> Int? {
    let mask = (1 &<< slotBits) &- 1 as UInt64
    var slot = hash &>> (64 &- slotBits)
    let tag = hash & 0xFFFF_FFFF_0000_0000
    while true {
      let found = slots[Int(truncatingIfNeeded: slot)]
      if found == 0 { return nil }
      if found & 0xFFFF_FFFF_0000_0000 == tag {
        let index = Int(truncatingIfNeeded: found & 0xFFFF_FFFF) &- 1
        if let entry = entries[index], entry.key == key { return index }
      }
      slot = (slot &+ 1) & mask
    }
  }

  /// The value of a key; nil where there is none.
  package subscript(_ key: Key) -> Value? { find(key).flatMap { entries[$0]?.value } }

  /// The key and value with this number; nil where it is free.
  @inlinable func entry(_ index: Int) -> (key: Key, value: Value)? {
    entries[index].map { ($0.key, $0.value) }
  }

  /// The deadline of the entry with this number, nil for none.
  @inlinable func deadline(_ index: Int) -> Int64? {
    entries[index].flatMap { $0.deadline == .max ? nil : $0.deadline }
  }

  // MARK: Changes

  /// Puts in what a batch has changed. O(changes) expected.
  /// - Parameter keepsReplaced: whether what takes the changes out again is wanted.
  /// - Returns: that, where it is; else nothing.
  @inlinable @discardableResult package mutating func apply(
    _ changes: ContiguousArray<StateChange<Key, Value>>, keepsReplaced: Bool = false
  ) -> ContiguousArray<StateChange<Key, Value>> {
    var replaced: ContiguousArray<StateChange<Key, Value>> = []
    if keepsReplaced { replaced.reserveCapacity(changes.count) }
    for change in changes {
      if keepsReplaced {
        // A batch changes a key once, so the order does not matter.
        let entry = find(change.key).flatMap { entries[$0] }
        let deadline = entry.flatMap { $0.deadline == .max ? nil : $0.deadline }
        replaced.append(StateChange(key: change.key, value: entry?.value, deadline: deadline))
      }
      if let value = change.value {
        put(change.key, value, deadline: change.deadline)
      } else {
        remove(change.key)
      }
    }
    return replaced
  }

  /// Sets the key's value and deadline. O(1) expected, O(log timers) where the deadline comes nearer.
  @inlinable package mutating func put(_ key: Key, _ value: Value, deadline: Int64?) {
    let hash = Self.hash(key)
    let index: Int
    if let found = find(key, hash: hash) {
      index = found
      entries[found]?.value = value
      entries[found]?.deadline = deadline ?? .max
    } else {
      let entry = Entry(key: key, value: value, deadline: deadline ?? .max)
      if let reused = free.popLast() {
        entries[reused] = entry
        index = reused
      } else {
        entries.append(entry)
        index = entries.count - 1
      }
      if count * 4 > slots.count * 3 { grow() }
      insertSlot(hash, index)
    }
    schedule(index)
  }

  @inlinable mutating func schedule(_ index: Int) {
    guard let entry = entries[index], entry.deadline < entry.scheduled else { return }
    timers.push(entry.deadline, index)
    entries[index]?.scheduled = entry.deadline
  }

  /// Removes the key. O(1) expected.
  @inlinable package mutating func remove(_ key: Key) {
    let hash = Self.hash(key)
    guard let index = find(key, hash: hash) else { return }
    let mask = slots.count - 1
    var hole = Int(truncatingIfNeeded: hash &>> (64 &- slotBits))
    while Int(truncatingIfNeeded: slots[hole] & 0xFFFF_FFFF) &- 1 != index { hole = (hole + 1) & mask }
    // Entries behind the hole move up, as far as their own place allows: no marks are left behind.
    var next = hole
    while true {
      next = (next + 1) & mask
      let moved = slots[next]
      if moved == 0 { break }
      let home = Int(truncatingIfNeeded: moved &>> (64 &- slotBits))
      if (next - home) & mask >= (next - hole) & mask {
        slots[hole] = moved
        hole = next
      }
    }
    slots[hole] = 0
    entries[index] = nil
    free.append(index)
  }

  @inlinable mutating func insertSlot(_ hash: UInt64, _ index: Int) {
    putSlot(hash & 0xFFFF_FFFF_0000_0000 | UInt64(index + 1))
  }

  /// Puts a slot at its place, which is known by its upper half.
  @inlinable mutating func putSlot(_ filled: UInt64) {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: filled &>> (64 &- slotBits))
    while slots[slot] != 0 { slot = (slot + 1) & mask }
    slots[slot] = filled
  }

  /// Slots stand in the order of their hashes, but for a few steps, and do so again in the larger table: both are walked
  /// from one end to the other, and no key is looked at.
  @inlinable mutating func grow() {
    slotBits += 1
    let old = slots
    slots = ContiguousArray(repeating: 0, count: 1 << Int(slotBits))
    for filled in old where filled != 0 { putSlot(filled) }
  }

  // MARK: Timers

  /// The numbers of the entries whose deadline is at or before `time`, in no order, and how many timers were looked at.
  package func due(_ time: Int64) -> (indices: [Int], looked: Int) {
    var found: [Int] = []
    var looked = 0
    timers.each(through: time) { timer in
      looked += 1
      if let entry = entries[timer.index], entry.deadline <= time, entry.scheduled == timer.time {
        found.append(timer.index)
      }
    }
    return (found, looked)
  }

  /// Moves timers at or before `time` to where their entries' deadlines are now. O(those).
  package mutating func advanceTimers(through time: Int64) {
    var again: [Int] = []
    while let timer = timers.pop(through: time) {
      guard let entry = entries[timer.index], entry.scheduled == timer.time else { continue }
      entries[timer.index]?.scheduled = .max
      again.append(timer.index)
    }
    for index in again { schedule(index) }
  }
}
