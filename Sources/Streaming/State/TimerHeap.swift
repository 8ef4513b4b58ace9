/// Deadlines of table entries, the earliest first: a binary heap in which an entry is found by walking down from the
/// root, so that those that are due can be listed without a change.
@usableFromInline struct TimerHeap: Sendable {
  @usableFromInline struct Timer: Sendable {
    @usableFromInline var time: Int64
    @usableFromInline var index: Int
  }
  private(set) var timers: ContiguousArray<Timer> = []

  /// O(log timers).
  @usableFromInline mutating func push(_ time: Int64, _ index: Int) {
    timers.append(Timer(time: time, index: index))
    var child = timers.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard timers[child].time < timers[parent].time else { break }
      timers.swapAt(child, parent)
      child = parent
    }
  }

  /// Removes the earliest timer at or before `time`. O(log timers).
  mutating func pop(through time: Int64) -> Timer? {
    guard let first = timers.first, first.time <= time else { return nil }
    let last = timers.removeLast()
    guard !timers.isEmpty else { return first }
    timers[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < timers.count && timers[child].time < timers[least].time {
        least = child
      }
      if least == parent { return first }
      timers.swapAt(least, parent)
      parent = least
    }
  }

  /// Calls `body` with the timers at or before `time`, in no order. O(those).
  func each(through time: Int64, _ body: (Timer) -> Void) {
    var pending = [0]
    while let position = pending.popLast() {
      guard position < timers.count, timers[position].time <= time else { continue }
      body(timers[position])
      pending.append(2 * position + 1)
      pending.append(2 * position + 2)
    }
  }
}
