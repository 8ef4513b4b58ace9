import Datasets
import Groundwork

/// What one change makes of a key's state.
@usableFromInline package struct StateChange<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  @usableFromInline var key: Key
  /// nil for a removal.
  @usableFromInline var value: Value?
  @usableFromInline var deadline: Int64?

  @inlinable init(key: Key, value: Value?, deadline: Int64?) {
    self.key = key
    self.value = value
    self.deadline = deadline
  }
}

/// One partition's state as a batch's task sees it: the table as the last batch left it, and over it what this batch
/// changes. The table itself is not touched, so a task that fails, or runs twice, does no harm.
///
/// Belongs to one task attempt.
@usableFromInline package final class StateView<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable> {
  /// A key that the batch has looked at.
  @usableFromInline struct Touched {
    /// Its number in the table; -1 where it is not there.
    @usableFromInline var index: Int
    @usableFromInline var value: Value?
    @usableFromInline var deadline: Int64?
    @usableFromInline var isChanged = false
    /// Changed only if its encoding is another one than before.
    @usableFromInline var mayBeEqual = false

    @inlinable init(index: Int, value: Value?, deadline: Int64?) {
      self.index = index
      self.value = value
      self.deadline = deadline
    }
  }
  /// The time that timers are measured by: the batch's, or the watermark; nothing is due where nil.
  @usableFromInline package var timerTime: Int64?
  /// Whether the operator has never had a committed batch: its initial state is still to be taken in.
  @usableFromInline package let isNew: Bool
  @usableFromInline let table: StateTable<Key, Value>
  @usableFromInline var touched = OrderedTable<Key, Touched>()
  /// Entries of the table that were read: the work that state costs.
  @usableFromInline var looked = 0

  init(_ table: StateTable<Key, Value>, isNew: Bool) {
    self.table = table
    self.isNew = isNew
  }

  /// The number, within this view, of a key: the same for the whole of the task.
  @inlinable package func touch(_ key: Key) -> Int {
    let (number, isFirst) = touched.entry(key, Touched(index: -1, value: nil, deadline: nil))
    if isFirst, let index = table.find(key) {
      looked += 1
      touched[number].index = index
      touched[number].value = table.entry(index)?.value
      touched[number].deadline = table.deadline(index)
    }
    return number
  }

  /// Keys touched so far; their numbers count from 0.
  @inlinable package var touchedCount: Int { touched.count }
  /// The key of a number.
  @inlinable package func key(_ number: Int) -> Key { touched.key(at: number) }
  /// The state of a number; nil where there is none.
  @inlinable package func value(_ number: Int) -> Value? { touched[number].value }
  /// The deadline of a number, in milliseconds.
  @inlinable package func deadline(_ number: Int) -> Int64? { touched[number].deadline }

  /// Sets the state; nil removes it.
  /// - Parameters:
  ///   - deadline: in milliseconds of the time that the operator's timers go by; nil for none.
  ///   - unlessEqual: do not write a value that is the one that stands there, by its bits or by its encoding.
  @inlinable package func set(_ number: Int, _ value: Value?, deadline: Int64?, unlessEqual: Bool = false) {
    if unlessEqual, !touched[number].isChanged {
      let index = touched[number].index
      if index < 0 ? value == nil : stands(value, at: index, deadline) { return }
    }
    touched[number].value = value
    touched[number].deadline = value == nil ? nil : deadline
    touched[number].mayBeEqual = unlessEqual && !touched[number].isChanged
    touched[number].isChanged = true
  }

  /// Whether a value with its deadline has the very bits that stand in the table; others may be equal all the same.
  @inlinable func stands(_ value: Value?, at index: Int, _ deadline: Int64?) -> Bool {
    guard let value, let before = table.entries[index], before.deadline == deadline ?? .max else { return false }
    return haveSameBits(value, before.value)
  }

  /// Lets `update` make the new state of every key: of those in the table, in the order of their numbers, and then of those
  /// that were touched and are not in it. What it leaves as it was is not touched. O(keys).
  /// - Parameter update: the key, its number where it was touched, and its state. It must touch nothing.
  @inlinable package func updateAll(
    _ update: (_ key: Key, _ number: Int?, _ state: Value?) throws -> Value?
  ) rethrows {
    let known = touched.count
    var numbers = ContiguousArray<Int32>(repeating: -1, count: table.entryLimit)
    for number in 0..<known where touched[number].index >= 0 {
      numbers[touched[number].index] = Int32(truncatingIfNeeded: number)
    }
    for index in 0..<numbers.count {
      let number = Int(numbers[index])
      if number >= 0 {
        let state = try update(touched.key(at: number), number, touched[number].value)
        set(number, state, deadline: nil, unlessEqual: true)
        continue
      }
      guard let entry = table.entries[index] else { continue }
      looked += 1
      let state = try update(entry.key, nil, entry.value)
      if stands(state, at: index, nil) { continue }
      let deadline = entry.deadline == .max ? nil : entry.deadline
      let made = touched.entry(entry.key, Touched(index: index, value: entry.value, deadline: deadline)).index
      set(made, state, deadline: nil, unlessEqual: true)
    }
    for number in 0..<known where touched[number].index < 0 {
      set(number, try update(touched.key(at: number), number, touched[number].value), deadline: nil, unlessEqual: true)
    }
  }

  /// Entries of the table, and keys that are not in it yet: at most so many `updateAll` visits.
  @inlinable package var keyLimit: Int { table.count + touched.count }

  /// The numbers of keys whose deadline has come and which the batch had not touched, by deadline and then by the keys'
  /// encodings, so that every run of the batch takes them in the same order.
  @usableFromInline package func due() -> [Int] {
    guard let timerTime else { return [] }
    let (indices, timers) = table.due(timerTime)
    looked += timers
    var order: [(deadline: Int64, key: Bytes, index: Int)] = []
    for index in Set(indices) {
      guard let entry = table.entry(index), touched.find(entry.key) == nil else { continue }
      order.append((table.deadline(index) ?? 0, entry.key.streamEncoded, index))
    }
    order.sort { a, b in a.deadline != b.deadline ? a.deadline < b.deadline : a.key.precedes(b.key) }
    return order.compactMap { due in table.entry(due.index).map { touch($0.key) } }
  }

  /// Every key with its state, after what the batch has changed so far. O(keys).
  @usableFromInline package func all() -> ContiguousArray<(Key, Value)> {
    var result: ContiguousArray<(Key, Value)> = []
    for index in 0..<table.entryLimit {
      guard let entry = table.entry(index), touched.find(entry.key) == nil else { continue }
      result.append((entry.key, entry.value))
    }
    for number in 0..<touched.count {
      if let value = touched[number].value { result.append((touched.key(at: number), value)) }
    }
    return result
  }

  /// The changes, and their encoded blocks.
  /// - Parameters:
  ///   - encodes: whether blocks are wanted.
  ///   - detach: gives keys and values that are kept memory of their own.
  func finish(
    encodes: Bool, _ detach: StateDetacher<Key, Value>
  ) -> (changes: ContiguousArray<StateChange<Key, Value>>, blocks: [Bytes], growth: Int) {
    var changes: ContiguousArray<StateChange<Key, Value>> = []
    var writer = ChangeWriter()
    var growth = 0
    var old = ByteWriter()
    var new = ByteWriter()
    for number in 0..<touched.count where touched[number].isChanged {
      let entry = touched[number]
      if entry.value == nil, entry.index < 0 { continue }
      if encodes, entry.mayBeEqual, entry.index >= 0, entry.deadline == table.deadline(entry.index),
        let value = entry.value, let before = table.entry(entry.index)?.value
      {
        old.removeAll()
        new.removeAll()
        before.encode(to: &old)
        value.encode(to: &new)
        if haveSameBytes(old, new) { continue }
      }
      if entry.value == nil { growth -= 1 } else if entry.index < 0 { growth += 1 }
      // That in the table has memory of its own.
      let known = entry.index >= 0 ? table.entry(entry.index)?.key : nil
      let key = known ?? detach.key(touched.key(at: number))
      if !encodes {
        // In memory only.
      } else if let value = entry.value {
        writer.append(key, deadline: entry.deadline) { value.encode(to: &$0) }
      } else {
        writer.append(key, deadline: nil, value: nil)
      }
      changes.append(StateChange(key: key, value: entry.value.map { detach.value($0) }, deadline: entry.deadline))
    }
    return (changes, writer.finish(), growth)
  }
}

/// Whether two values have the same bits: then they are the same value. Others may be equal, and padding may differ.
@inlinable @inline(__always) func haveSameBits<Value>(_ a: Value, _ b: Value) -> Bool {
  withUnsafeBytes(of: a) { a in
    withUnsafeBytes(of: b) { b in
      var position = 0
      while position &+ 8 <= a.count {
        let x = a.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        if x != b.loadUnaligned(fromByteOffset: position, as: UInt64.self) { return false }
        position &+= 8
      }
      while position < a.count {
        if a[position] != b[position] { return false }
        position &+= 1
      }
      return true
    }
  }
}

/// Whether two writers hold the same bytes.
private func haveSameBytes(_ a: borrowing ByteWriter, _ b: borrowing ByteWriter) -> Bool {
  guard a.count == b.count else { return false }
  return a.withUnsafeBytes { a in b.withUnsafeBytes { b in a.elementsEqual(b) } }
}

/// Gives what state keeps memory of its own.
struct StateDetacher<Key, Value>: Sendable {
  let key = Detacher<Key>()
  let value = Detacher<Value>()
}

extension Bytes {
  /// Whether these bytes come first in the order of bytes.
  func precedes(_ other: Bytes) -> Bool {
    let length = Swift.min(count, other.count)
    for position in 0..<length where self[position] != other[position] { return self[position] < other[position] }
    return count < other.count
  }
}
