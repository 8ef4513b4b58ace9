import Groundwork
import Synchronization
import SystemInterfaces

/// Brings events to listeners by way of queues, each with a loop of its own, so that a slow listener delays neither who
/// posts nor the listeners of other queues. Listeners of one queue are called one after the other. Events of one queue
/// come in the order of their posting.
///
/// Sendable: confined to the loop of its owner, which is where it must be called.
public final class ListenerBus<Event: Sendable>: @unchecked Sendable {
  private let capacity: Int
  private let makeLoop: @Sendable (_ name: String) -> any Loop
  /// In the order of their names; a queue lives as long as it has listeners.
  private var queues: [(queue: ListenerQueue<Event>, listeners: [AnyObject])] = []
  /// Events posted while anybody listened.
  public private(set) var posted = 0

  /// - Parameters:
  ///   - capacity: events that may wait for one queue before it drops some.
  ///   - makeLoop: makes the loop of a queue, given a name for debuggers.
  public init(capacity: Int, makeLoop: @escaping @Sendable (_ name: String) -> any Loop) {
    self.capacity = capacity
    self.makeLoop = makeLoop
  }

  /// Whether nobody listens.
  public var isEmpty: Bool { queues.isEmpty }

  /// Adds a listener, which hears of what is posted from now on.
  /// - Parameters:
  ///   - listener: kept until it is removed.
  ///   - name: the queue; listeners of one queue wait for each other, those of different queues do not.
  ///   - handle: tells the listener of an event, on the queue's loop.
  public func add(
    _ listener: some AnyObject & Sendable, to name: String, _ handle: @escaping @Sendable (Event) -> Void
  ) {
    let index: Int
    if let found = queues.firstIndex(where: { $0.queue.name == name }) {
      index = found
    } else {
      index = queues.firstIndex { $0.queue.name > name } ?? queues.count
      queues.insert((ListenerQueue(named: name, capacity: capacity, on: makeLoop("listen \(name)")), []), at: index)
    }
    queues[index].listeners.append(listener)
    queues[index].queue.add(listener, handle)
  }

  /// Removes a listener from every queue; one that has no listeners left ends.
  public func remove(_ listener: some AnyObject & Sendable) {
    for index in queues.indices.reversed() where queues[index].listeners.contains(where: { $0 === listener }) {
      queues[index].queue.remove(listener)
      queues[index].listeners.removeAll { $0 === listener }
      if queues[index].listeners.isEmpty { queues.remove(at: index).queue.stop() }
    }
  }

  /// Hands an event to every queue; never waits.
  public func post(_ event: Event) {
    guard !queues.isEmpty else { return }
    posted += 1
    for (queue, _) in queues { queue.post(event) }
  }

  /// Ends every queue after what waits now was delivered.
  public func stop() { stop {} }

  /// Ends every queue after what waits now was delivered; `then` is called when all have, on any loop, at once where
  /// nobody listens. It is not called where a listener never returns.
  /// - Returns: the queues, whose metrics say how much waits.
  @discardableResult
  public func stop(then: @escaping @Sendable () -> Void) -> [ListenerQueue<Event>] {
    let ending = queues.map(\.queue)
    queues = []
    guard !ending.isEmpty else {
      then()
      return []
    }
    let last = ListenerCountdown(ending.count, then)
    for queue in ending { queue.stop { last.countDown() } }
    return ending
  }

  /// What each queue has done so far, by name.
  public var metrics: [ListenerQueueMetrics] { queues.map(\.queue.metrics) }
}

/// Calls on when the last of several queues has ended.
private final class ListenerCountdown: Sendable {
  private let left: Atomic<Int>
  private let then: @Sendable () -> Void

  init(_ count: Int, _ then: @escaping @Sendable () -> Void) {
    left = Atomic(count)
    self.then = then
  }

  func countDown() {
    if left.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { then() }
  }
}
