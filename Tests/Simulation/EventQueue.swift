/// The pending events of a world, ordered by time and, within one time, by the order in which they were scheduled.
///
/// A binary heap of small plain entries; what an entry does stands in a slot, so that moving entries touches no
/// reference counts and cancelling is O(1). Push and pop are O(log n).
struct EventQueue {
  /// What an event is, for the trace and the list of pending things.
  enum Kind: UInt8 {
    case post, timer, delivery, flush, connection, task, fault
  }

  struct Event {
    var time: Int64
    var kind: Kind
    var owner: SimulatedLoop?
    var work: () -> Void
  }

  private struct Entry {
    var time: Int64
    var sequence: UInt64
    var slot: Int32
    func isBefore(_ other: Entry) -> Bool {
      time != other.time ? time < other.time : sequence < other.sequence
    }
  }

  private struct Slot {
    var generation: UInt32 = 0
    var kind = Kind.post
    var owner: SimulatedLoop?
    /// nil: free, or cancelled and still in the heap.
    var work: (() -> Void)?
  }

  private var heap: [Entry] = []
  /// What was due in processes that are paused.
  private var parked: [Entry] = []
  private var slots: [Slot] = []
  private var freeSlots: [Int32] = []
  private var sequence: UInt64 = 0

  /// - Returns: a name for `cancel`, used once in the life of the world.
  mutating func push(time: Int64, kind: Kind, owner: SimulatedLoop?, _ work: @escaping () -> Void) -> UInt64 {
    let index: Int32
    if let free = freeSlots.popLast() {
      index = free
    } else {
      index = Int32(slots.count)
      slots.append(Slot())
    }
    slots[Int(index)].kind = kind
    slots[Int(index)].owner = owner
    slots[Int(index)].work = work
    sequence += 1
    heap.append(Entry(time: time, sequence: sequence, slot: index))
    siftUp(heap.count - 1)
    return UInt64(slots[Int(index)].generation) << 32 | UInt64(UInt32(bitPattern: index))
  }

  mutating func cancel(_ name: UInt64) {
    let index = Int(name & 0xFFFF_FFFF)
    guard index < slots.count, slots[index].generation == UInt32(name >> 32) else { return }
    slots[index].work = nil
    slots[index].owner = nil
  }

  /// The time of the next event that will run; forgets the cancelled and the dead before it.
  mutating func nextTime() -> Int64? {
    while let first = heap.first {
      let slot = slots[Int(first.slot)]
      if slot.work != nil, slot.owner?.isRunning ?? true {
        guard slot.owner?.process.isPaused == true else { return first.time }
        parked.append(removeFirst())
      } else {
        _ = popFirst()
      }
    }
    return nil
  }

  /// A process runs again: what was due meanwhile is due now, in its order, but for what is cancelled before its turn.
  mutating func resume(_ process: SimulatedProcess, at time: Int64) {
    let waiting = parked
    parked = []
    for var entry in waiting {
      let slot = slots[Int(entry.slot)]
      if slot.work == nil {
        free(entry.slot)
      } else if slot.owner?.process === process {
        entry.time = max(entry.time, time)
        sequence += 1
        entry.sequence = sequence
        heap.append(entry)
        siftUp(heap.count - 1)
      } else {
        parked.append(entry)
      }
    }
  }

  /// The next event that will run.
  mutating func pop() -> Event? {
    guard nextTime() != nil else { return nil }
    return popFirst()
  }

  private mutating func popFirst() -> Event? {
    let first = removeFirst()
    let index = Int(first.slot)
    let work = slots[index].work
    let event = work.map { Event(time: first.time, kind: slots[index].kind, owner: slots[index].owner, work: $0) }
    free(first.slot)
    return event
  }

  private mutating func removeFirst() -> Entry {
    let first = heap[0]
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      siftDown()
    }
    return first
  }

  private mutating func free(_ slot: Int32) {
    slots[Int(slot)].work = nil
    slots[Int(slot)].owner = nil
    slots[Int(slot)].generation &+= 1
    freeSlots.append(slot)
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    let entry = heap[child]
    while child > 0 {
      let parent = (child - 1) / 2
      guard entry.isBefore(heap[parent]) else { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = entry
  }

  private mutating func siftDown() {
    let entry = heap[0]
    let count = heap.count
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < count else { break }
      if child + 1 < count, heap[child + 1].isBefore(heap[child]) { child += 1 }
      guard heap[child].isBefore(entry) else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = entry
  }

  /// Up to `limit` of what is still to come, in order, for a message.
  func descriptions(limit: Int) -> [String] {
    let live = heap.filter { entry in
      let slot = slots[Int(entry.slot)]
      return slot.work != nil && (slot.owner?.isRunning ?? true)
    }
    return live.sorted { $0.isBefore($1) }.prefix(limit).map { entry in
      let slot = slots[Int(entry.slot)]
      return "\(secondsText(entry.time)) \(slot.kind) \(slot.owner?.name ?? "network")"
    } + (live.count > limit ? ["… and \(live.count - limit) more"] : [])
  }
}

/// A virtual time as seconds with six places.
func secondsText(_ nanoseconds: Int64) -> String {
  let micros = String(nanoseconds / 1000 % 1_000_000)
  return "\(nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 6 - micros.count) + micros + "s"
}
