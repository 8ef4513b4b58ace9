import Datasets
import Groundwork
import Synchronization

/// The table of one state partition, and the changes of the last batch, which the next batch's task puts in.
///
/// The last batch may be one that is not decided yet, where the next one is computed on what it left: then what its changes
/// replaced is kept until it is, to be put back where it does not happen.
///
/// Sendable: everything is behind the lock.
final class StateCell<Key: Hashable & Sendable & StreamCodable, Value: StreamCodable>: Sendable {
  struct Pending: Sendable {
    var batch: Int64
    var changes: ContiguousArray<StateChange<Key, Value>>
    var timerTime: Int64?

    init(_ batch: BatchNumber, _ changes: ContiguousArray<StateChange<Key, Value>>, _ timerTime: Int64?) {
      self.batch = batch.rawValue
      self.changes = changes
      self.timerTime = timerTime
    }
  }
  private struct State {
    var table = StateTable<Key, Value>()
    var pending: Pending?
    /// The batch whose state the table and what is pending make.
    var version: Int64 = 0
    var applied = 0
    /// Of the batch that is not decided yet: the version before it, and what takes its changes out of the table again, once
    /// they are there.
    var undecided: (batch: Int64, versionBefore: Int64, isKept: Bool, replaced: Changes)?
  }
  private typealias Changes = ContiguousArray<StateChange<Key, Value>>
  /// `StateTable.apply`, compiled for these types by whoever defines the operator: for all keys of a large state that is
  /// several times faster than through the types' descriptions.
  typealias Apply =
    @Sendable (
      _ table: inout StateTable<Key, Value>, _ changes: ContiguousArray<StateChange<Key, Value>>, _ keepsReplaced: Bool
    ) -> ContiguousArray<StateChange<Key, Value>>
  private let apply: Apply
  private let state = Mutex(State())

  init(_ apply: @escaping Apply) { self.apply = apply }

  private func settle(_ state: inout State) {
    guard let pending = state.pending else { return }
    state.pending = nil
    let isUndecided = state.undecided.map { $0.batch == pending.batch && $0.isKept } ?? false
    let replaced = apply(&state.table, pending.changes, isUndecided)
    if isUndecided { state.undecided?.replaced = replaced }
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
  func commit(_ changes: Pending) { state.withLock { take(changes, &$0) } }

  private func take(_ changes: Pending, _ state: inout State) {
    settle(&state)
    state.pending = changes
    state.version = changes.batch
  }

  /// A batch is computed and not decided: its changes are what the next one begins with all the same.
  /// - Parameter isRevocable: whether `takeBack` will do; else it does nothing, for a job that ends with the failure.
  func lend(_ changes: Pending, isRevocable: Bool) {
    state.withLock { state in
      settle(&state)
      state.undecided = (changes.batch, state.version, isRevocable, [])
      take(changes, &state)
    }
  }

  /// The batch whose changes were lent is committed.
  func keep() { state.withLock { $0.undecided = nil } }

  /// The batch whose changes were lent does not happen: they are taken back. O(changes), and once O(keys) where a task that
  /// has been given up still reads the table.
  /// - Returns: whether entries of the table may have got other numbers.
  func takeBack() -> Bool {
    state.withLock { state in
      guard let undecided = state.undecided else { return false }
      state.undecided = nil
      guard undecided.isKept else { return false }
      state.version = undecided.versionBefore
      if state.pending?.batch == undecided.batch {
        state.pending = nil
        return false
      }
      _ = apply(&state.table, undecided.replaced, false)
      return true
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
