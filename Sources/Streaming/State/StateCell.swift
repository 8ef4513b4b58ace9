import Groundwork
import Synchronization

/// The table of one state partition, and the changes of the last committed batch, which the next batch's task puts in.
///
/// Sendable: everything is behind the lock.
final class StateCell<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>: Sendable {
  struct Pending: Sendable {
    var batch: Int64
    var changes: ContiguousArray<StateChange<Key, Value>>
    var timerTime: Int64?
  }
  private struct State {
    var table = StateTable<Key, Value>()
    var pending: Pending?
    /// The batch whose state the table and what is pending make.
    var version: Int64 = 0
    var applied = 0
  }
  /// `StateTable.apply`, compiled for these types by whoever defines the operator: for all keys of a large state that is
  /// several times faster than through the types' descriptions.
  typealias Apply = @Sendable (inout StateTable<Key, Value>, ContiguousArray<StateChange<Key, Value>>) -> Void
  private let apply: Apply
  private let state = Mutex(State())

  init(_ apply: @escaping Apply) { self.apply = apply }

  private func settle(_ state: inout State) {
    guard let pending = state.pending else { return }
    state.pending = nil
    apply(&state.table, pending.changes)
    state.applied += pending.changes.count
    if let time = pending.timerTime { state.table.advanceTimers(through: time) }
  }

  /// The table as the batch before `batch` left it; nil where that is past already.
  func table(before batch: Int64) -> StateTable<Key, Value>? {
    state.withLock { state in
      guard state.version < batch else { return nil }
      settle(&state)
      return state.table
    }
  }

  /// A batch is committed: its changes are what the next one begins with.
  func commit(_ changes: Pending) {
    state.withLock { state in
      settle(&state)
      state.pending = changes
      state.version = changes.batch
    }
  }

  /// Puts in a change that is read back at a restart.
  func load(_ key: Key, _ value: Value?, deadline: Int64?) {
    state.withLock { state in
      if let value {
        state.table.put(key, value, deadline: deadline)
      } else {
        state.table.remove(key)
      }
    }
  }

  /// Gives a deadline to the keys that have none. O(keys).
  func setMissingDeadlines(_ deadline: Int64) {
    state.withLock { state in
      for index in 0..<state.table.entryLimit where state.table.deadline(index) == nil {
        if let entry = state.table.entry(index) { state.table.put(entry.key, entry.value, deadline: deadline) }
      }
    }
  }

  /// The version that was read back.
  func loaded(_ version: Int64) { state.withLock { $0.version = version } }

  /// Every entry. O(keys).
  var contents: ContiguousArray<(Key, Value)> {
    state.withLock { state in
      settle(&state)
      return StateView(state.table, isNew: false).all()
    }
  }

  /// Where the table's entries lie in memory: it changes when they are copied.
  var address: Int {
    state.withLock { $0.table.entries.withUnsafeBufferPointer { Int(bitPattern: $0.baseAddress) } }
  }

  /// Keys in the table, without what is pending, and changes put in so far.
  var figures: (keys: Int, timers: Int, applied: Int) {
    state.withLock { ($0.table.count, $0.table.timerCount, $0.applied) }
  }

  /// Bytes that the table takes, without what keys and values refer to.
  var allocatedBytes: Int { state.withLock { $0.table.allocatedBytes } }

  /// The entries from number `from` on, encoded, about `bytes` of them.
  /// - Returns: the encoded entries, and the number to go on with; nil at the end of the table.
  ///   What is pending is not in them: it is younger than the snapshot and stands in the log.
  func slice(from: Int, bytes: Int) -> (blocks: [Bytes], next: Int?) {
    state.withLock { state in
      var writer = ChangeWriter()
      var index = from
      let limit = state.table.entryLimit
      while index < limit, writer.byteCount < bytes {
        if let entry = state.table.entry(index) {
          writer.append(entry.key, deadline: state.table.deadline(index)) { entry.value.encode(to: &$0) }
        }
        index += 1
        // Places that are free cost a little too: a slice is bounded in them as well.
        if index - from >= max(bytes, 1024) { break }
      }
      return (writer.finish(), index < limit ? index : nil)
    }
  }
}
