/// Stages with tasks to start, the one with the lowest number first; push and pop are O(log n).
struct StageHeap {
  private var stages: [Stage] = []

  var isEmpty: Bool { stages.isEmpty }
  var first: Stage? { stages.first }

  mutating func push(_ stage: Stage) {
    stages.append(stage)
    var child = stages.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard stages[child].id < stages[parent].id else { return }
      stages.swapAt(child, parent)
      child = parent
    }
  }

  mutating func popFirst() -> Stage? {
    guard let first = stages.first else { return nil }
    let last = stages.removeLast()
    guard !stages.isEmpty else { return first }
    stages[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < stages.count else { return first }
      if child + 1 < stages.count, stages[child + 1].id < stages[child].id { child += 1 }
      guard stages[child].id < stages[parent].id else { return first }
      stages.swapAt(child, parent)
      parent = child
    }
  }
}
