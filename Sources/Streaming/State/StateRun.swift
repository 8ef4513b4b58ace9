import Datasets
import Groundwork
import Synchronization

/// What one partition's task made of a batch: the same for every output that asks, whichever attempt was first.
///
/// Sendable: constant, but the snapshot and what is dropped after the commit, which stand behind the lock.
@usableFromInline
package final class StateResult<
  Key: Hashable & Sendable & StreamCodable, Value: StreamCodable, Output: Sendable
>: Sendable {
  struct Changes: Sendable {
    var changes: ContiguousArray<StateChange<Key, Value>>
    var blocks: [Bytes]
    var growth: Int
    var timerTime: Int64?
  }
  @usableFromInline package let output: Output
  let looked: Int
  private let changes: Mutex<Changes?>
  private let snapshot: Mutex<ContiguousArray<(Key, Value)>?>

  init(
    _ output: Output, _ view: StateView<Key, Value>, withSnapshot: Bool, encodes: Bool,
    _ detach: StateDetacher<Key, Value>
  ) {
    self.output = output
    let (changes, blocks, growth) = view.finish(encodes: encodes, detach)
    looked = view.looked
    self.changes = Mutex(Changes(changes: changes, blocks: blocks, growth: growth, timerTime: view.timerTime))
    snapshot = Mutex(withSnapshot ? view.all() : nil)
  }

  var prepared: Changes? { changes.withLock { $0 } }

  /// Hands the changes over; afterwards only the output is kept, for windows that compute the batch again.
  func takeChanges() -> Changes? {
    changes.withLock { changes in
      defer { changes = nil }
      return changes
    }
  }

  @usableFromInline package var all: ContiguousArray<(Key, Value)> { snapshot.withLock { $0 } ?? [] }
}

/// One batch of one stateful operator: what its tasks have computed, by partition.
///
/// Sendable: everything that changes is behind the lock.
@usableFromInline
package final class StateRun<
  Key: Hashable & Sendable & StreamCodable, Value: StreamCodable, Output: Sendable
>: Sendable {
  @usableFromInline package typealias Compute =
    @Sendable (_ partition: Int, _ task: TaskContext, _ view: StateView<Key, Value>) throws -> Output
  private struct State {
    var results: [StateResult<Key, Value, Output>?]
    /// Raised when the batch is given up: an attempt that began before leaves nothing behind.
    var generation = 0
  }
  @usableFromInline package let batch: BatchIdentity
  private let name: String
  private let cells: [StateCell<Key, Value>]
  private let isNew: Bool
  private let withSnapshot: Bool
  private let encodes: Bool
  private let detach: StateDetacher<Key, Value>
  private let compute: Compute
  private let state: Mutex<State>

  init(
    _ batch: BatchIdentity, name: String, cells: [StateCell<Key, Value>], isNew: Bool, withSnapshot: Bool,
    encodes: Bool, _ detach: StateDetacher<Key, Value>, compute: @escaping Compute
  ) {
    self.batch = batch
    self.name = name
    self.cells = cells
    self.isNew = isNew
    self.withSnapshot = withSnapshot
    self.encodes = encodes
    self.detach = detach
    self.compute = compute
    state = Mutex(State(results: Array(repeating: nil, count: cells.count)))
  }

  /// State partitions.
  @usableFromInline package var partitionCount: Int { cells.count }

  /// The partition's result, computed where it is not there yet. In tasks.
  @usableFromInline package func result(
    _ partition: Int, _ task: TaskContext
  ) throws -> StateResult<Key, Value, Output> {
    let (known, generation) = state.withLock { ($0.results[partition], $0.generation) }
    if let known { return known }
    guard let table = cells[partition].table(before: batch.number.rawValue) else {
      throw StreamingError.batchFailed(
        batch: batch.number,
        reason: "'\(name)' was asked for batch \(batch.number) after its state had gone on: this is a defect")
    }
    let view = StateView(table, isNew: isNew)
    let output = try compute(partition, task, view)
    let result = StateResult(output, view, withSnapshot: withSnapshot, encodes: encodes, detach)
    return state.withLock { state in
      guard state.generation == generation else { return result }
      if let first = state.results[partition] { return first }
      state.results[partition] = result
      return result
    }
  }

  /// The batch failed: nothing that was computed remains.
  func reset() {
    state.withLock { state in
      state.generation += 1
      for index in state.results.indices { state.results[index] = nil }
    }
  }

  var results: [StateResult<Key, Value, Output>?] { state.withLock { $0.results } }
}
