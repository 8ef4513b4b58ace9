/// The timers of one loop: a binary heap by (time, number). Cancelled ones leave the heap when they come up, or at once
/// when they are more than half of it.
///
/// Push and pop are O(log n), cancel O(1) amortised: request timeouts are nearly always cancelled.
struct TimerHeap {
  private struct Entry {
    var time: Int64
    var number: UInt64
    func isBefore(_ other: Entry) -> Bool { time != other.time ? time < other.time : number < other.number }
  }
  private var heap: [Entry] = []
  private var works: [UInt64: @Sendable () -> Void] = [:]

  /// Timers that will run.
  var count: Int { works.count }

  mutating func push(_ time: Int64, _ number: UInt64, _ work: @escaping @Sendable () -> Void) {
    works[number] = work
    heap.append(Entry(time: time, number: number))
    siftUp(heap.count - 1)
  }

  mutating func cancel(_ number: UInt64) {
    guard works.removeValue(forKey: number) != nil else { return }
    if heap.count > 64, works.count * 2 < heap.count { compact() }
  }

  /// When the next timer is due.
  mutating func nextTime() -> Int64? {
    while let first = heap.first {
      if works[first.number] != nil { return first.time }
      removeFirst()
    }
    return nil
  }

  /// The first timer that is due at `time`.
  mutating func popDue(at time: Int64) -> (@Sendable () -> Void)? {
    guard let next = nextTime(), next <= time else { return nil }
    let number = heap[0].number
    removeFirst()
    return works.removeValue(forKey: number)
  }

  private mutating func compact() {
    heap = heap.filter { works[$0.number] != nil }.sorted { $0.isBefore($1) }
  }

  private mutating func removeFirst() {
    let last = heap.removeLast()
    guard !heap.isEmpty else { return }
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
      guard heap[child].isBefore(last) else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = last
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
}
