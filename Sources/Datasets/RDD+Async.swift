import Synchronization

// Actions that do not wait: they return at once, and the result comes to a function on the driver's loop. Spark's
// countAsync, collectAsync and so on.

/// An action that runs and that nobody waits for.
///
/// Sendable: constant; what cancels stands under a lock.
public final class RunningAction: Sendable {
  private struct State {
    var isCancelled = false
    var isDone = false
    var cancel: (@Sendable (String) -> Void)?
  }
  private let state = Mutex(State())

  init() {}

  /// Whether the result was handed over.
  public var isDone: Bool { state.withLock { $0.isDone } }

  /// Stops the action; its function hears the failure. Nothing happens where the result is there.
  /// - Parameter reason: for people.
  public func cancel(reason: String = "cancelled") {
    let cancel = state.withLock { state -> (@Sendable (String) -> Void)? in
      state.isCancelled = true
      return state.isDone ? nil : state.cancel
    }
    cancel?(reason)
  }

  /// From now on `cancel` calls this; at once where it was called before.
  func runs(_ cancel: @escaping @Sendable (String) -> Void) {
    let isCancelled = state.withLock { state in
      state.cancel = cancel
      return state.isCancelled && !state.isDone
    }
    if isCancelled { cancel("cancelled") }
  }

  func finish() {
    state.withLock { state in
      state.isDone = true
      state.cancel = nil
    }
  }
}

extension RDD {
  /// Runs a job over some partitions; `then` hears of its end once, on the driver's loop, never inside this call.
  @discardableResult public func runAsync<Output: Sendable>(
    partitions: [Int]? = nil, label: String,
    _ task: @escaping @Sendable (_ dataset: RDD, _ partition: Int, _ task: TaskContext) throws -> Output,
    then: @escaping @Sendable (Result<[Output], any Error>) -> Void
  ) -> RunningAction {
    let action = RunningAction()
    action.runs(
      context.runner.submit(self, partitions: partitions ?? Array(0..<partitionCount), label: label, task) { result in
        action.finish()
        then(result)
      })
    return action
  }

  /// As `count`, without waiting.
  @discardableResult public func countAsync(
    then: @escaping @Sendable (Result<Int, any Error>) -> Void
  ) -> RunningAction {
    runAsync(label: "count") { dataset, partition, task in
      var count = 0
      try dataset.compute(partition, task) { count += $0.count }
      return count
    } then: {
      then($0.map { $0.reduce(0, +) })
    }
  }

  /// As `foreach`, without waiting.
  @discardableResult public func foreachAsync(
    _ body: @escaping @Sendable (Element) throws -> Void, then: @escaping @Sendable (Result<Void, any Error>) -> Void
  ) -> RunningAction {
    runAsync(label: "foreach") { dataset, partition, task in
      try dataset.compute(partition, task) { view in
        try task.naming("foreach") { for index in 0..<view.count { try body(view[index]) } }
      }
      return true
    } then: {
      then($0.map { _ in })
    }
  }

  /// As `foreachPartition`, without waiting.
  @discardableResult public func foreachPartitionAsync(
    _ body: @escaping @Sendable ([Element], TaskContext) throws -> Void,
    then: @escaping @Sendable (Result<Void, any Error>) -> Void
  ) -> RunningAction {
    runAsync(label: "foreachPartition") { dataset, partition, task in
      try body(dataset.elements(partition, task), task)
      return true
    } then: {
      then($0.map { _ in })
    }
  }
}

extension RDD where Element: Sendable {
  /// As `collect`, without waiting.
  @discardableResult public func collectAsync(
    then: @escaping @Sendable (Result<[Element], any Error>) -> Void
  ) -> RunningAction {
    runAsync(label: "collect") { dataset, partition, task in
      var elements = ContiguousArray<Element>()
      try dataset.compute(partition, task) { view in
        for element in view { elements.append(detached(element)) }
      }
      return elements
    } then: {
      then($0.map { $0.flatMap { $0 } })
    }
  }

  /// As `take`, without waiting: a job after the other, until there are enough.
  @discardableResult public func takeAsync(
    _ count: Int, then: @escaping @Sendable (Result<[Element], any Error>) -> Void
  ) -> RunningAction {
    let action = RunningAction()
    takeMore(count, [], from: 0, width: 1, action, then)
    return action
  }

  private func takeMore(
    _ count: Int, _ taken: [Element], from next: Int, width: Int, _ action: RunningAction,
    _ then: @escaping @Sendable (Result<[Element], any Error>) -> Void
  ) {
    let wanted = Swift.max(0, count - taken.count)
    // Of no partitions where nothing is wanted: the end is heard of later in any case.
    let end = wanted == 0 ? next : Swift.min(next + width, partitionCount)
    let partitions = Array(next..<Swift.max(next, end))
    let cancel = context.runner.submit(self, partitions: partitions, label: "take") {
      dataset, partition, task -> ContiguousArray<Element> in
      var elements = ContiguousArray<Element>()
      do {
        try dataset.compute(partition, task) { view in
          for element in view.prefix(wanted - elements.count) { elements.append(detached(element)) }
          if elements.count == wanted { throw EnoughElements() }
        }
      } catch is EnoughElements {}
      return elements
    } then: { [self] result in
      switch result {
      case .failure(let error):
        action.finish()
        then(.failure(error))
      case .success(let parts):
        var taken = taken
        for part in parts { taken.append(contentsOf: part.prefix(count - taken.count)) }
        if taken.count >= count || end >= partitionCount {
          action.finish()
          then(.success(taken))
        } else {
          takeMore(count, taken, from: end, width: width * 4, action, then)
        }
      }
    }
    action.runs(cancel)
  }
}
