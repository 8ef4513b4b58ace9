import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Goal: what a batch changed is there for the next one before it is decided, and gone where it does not happen. Strategy:
/// random batches of changes with timers, lent, kept, taken back or committed at once, against a dictionary that is copied
/// before each.
@Suite struct LentStateTests {
  private struct Entry: Equatable {
    var value: Int
    var deadline: Int64?
  }

  @Test(arguments: UInt64(1)...40) func whatIsTakenBackWasNeverThere(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let cell = StateCell<Int, Int> { $0.apply($1, keepsReplaced: $2) }
    var model: [Int: Entry] = [:]
    var version: Int64 = 0
    var wrong: [String] = []
    /// Held on to, as a task that was given up does.
    var stragglers: [StateTable<Int, Int>] = []
    func check(_ step: Int, _ time: Int64) {
      guard let table = cell.table(before: version + 1) else { return wrong.append("step \(step): no table") }
      var found: [Int: Entry] = [:]
      for index in 0..<table.entryLimit {
        if let (key, value) = table.entry(index) { found[key] = Entry(value: value, deadline: table.deadline(index)) }
      }
      if found != model { wrong.append("step \(step): \(found.count) entries for \(model.count)") }
      let due = Set(table.due(time).indices.compactMap { table.entry($0)?.key })
      let expected = Set(model.filter { ($0.value.deadline ?? .max) <= time }.keys)
      if due != expected { wrong.append("step \(step): \(due) due for \(expected)") }
      if random.next() % 7 == 0 { stragglers = [table] }
    }
    for step in 0..<300 {
      let time = Int64(step * 10)
      let before = model
      let versionBefore = version
      version += 1
      var changes: ContiguousArray<StateChange<Int, Int>> = []
      var keys = Set<Int>()
      for _ in 0..<Int(random.next() % 8) { keys.insert(Int(random.next() % 30)) }
      for key in keys.sorted() {
        if random.next() % 3 == 0 {
          changes.append(StateChange(key: key, value: nil, deadline: nil))
          model[key] = nil
        } else {
          let deadline = random.next() % 2 == 0 ? nil : time + Int64(random.next() % 60)
          changes.append(StateChange(key: key, value: step, deadline: deadline))
          model[key] = Entry(value: step, deadline: deadline)
        }
      }
      let pending = StateCell<Int, Int>.Pending(BatchNumber(version), changes, time - 20)
      switch random.next() % 4 {
      case 0: cell.commit(pending)
      case 1:
        cell.lend(pending, isRevocable: true)
        check(step, time)
        cell.keep()
      default:
        cell.lend(pending, isRevocable: true)
        // The next batch may have looked at it or not.
        let isSeen = random.next() % 2 == 0
        if isSeen { check(step, time) }
        let isMoved = cell.takeBack()
        if isMoved != isSeen { wrong.append("step \(step): moved \(isMoved), seen \(isSeen)") }
        model = before
        version = versionBefore
        // The batch may run again under its number.
        if cell.table(before: version + 1) == nil { wrong.append("step \(step): its state has gone on") }
      }
      check(step, time)
    }
    #expect(wrong.isEmpty, "\(wrong.prefix(3))")
    #expect(stragglers.count <= 1)
  }
}
