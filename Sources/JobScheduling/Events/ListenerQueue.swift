import Groundwork
import Synchronization
import SystemInterfaces

/// Events on their way to one group of listeners, which are called on a loop of their own: live a thread, in simulation
/// turns of the world's one thread. It holds a bounded number of events; further ones are dropped and counted, so that
/// listeners that are slow, or stand still, cost whoever posts nothing.
///
/// Sendable: `handlers` is touched on the queue's loop only; everything else is constant or atomic.
public final class ListenerQueue<Event: Sendable>: @unchecked Sendable {
  /// For people: `shared`.
  public let name: String
  /// Events that may wait.
  public let capacity: Int
  private let loop: any Loop
  private let waiting = Atomic<Int>(0)
  private let delivered = Atomic<Int>(0)
  private let dropped = Atomic<Int>(0)
  private let nanoseconds = Atomic<Int64>(0)
  private var handlers: [(listener: ObjectIdentifier, handle: @Sendable (Event) -> Void)] = []

  /// - Parameters:
  ///   - name: for people.
  ///   - capacity: events that may wait, at least 1.
  ///   - loop: where listeners are called; the queue stops it at its end.
  public init(named name: String, capacity: Int, on loop: any Loop) {
    self.name = name
    self.capacity = max(1, capacity)
    self.loop = loop
  }

  /// Calls a listener for every event that is posted from now on.
  /// - Parameters:
  ///   - listener: whose identity `remove` is given; kept.
  ///   - handle: tells the listener, on the queue's loop.
  public func add(_ listener: some AnyObject & Sendable, _ handle: @escaping @Sendable (Event) -> Void) {
    loop.post { self.handlers.append((ObjectIdentifier(listener), handle)) }
  }

  /// The listener hears of no event that is posted from now on.
  public func remove(_ listener: some AnyObject & Sendable) {
    let listener = ObjectIdentifier(listener)
    loop.post { self.handlers.removeAll { $0.listener == listener } }
  }

  /// Queues an event, or drops it where too many wait. Never waits; callable from anywhere.
  public func post(_ event: Event) {
    guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= capacity else {
      waiting.wrappingSubtract(1, ordering: .relaxed)
      dropped.wrappingAdd(1, ordering: .relaxed)
      return
    }
    loop.post { self.deliver(event) }
  }

  private func deliver(_ event: Event) {
    let start = loop.now
    for (_, handle) in handlers { handle(event) }
    nanoseconds.wrappingAdd((loop.now - start).inNanoseconds, ordering: .relaxed)
    delivered.wrappingAdd(1, ordering: .relaxed)
    waiting.wrappingSubtract(1, ordering: .relaxed)
  }

  /// Ends the queue's loop after what waits now was delivered; later events go nowhere.
  /// - Parameter then: called on that loop when it was.
  public func stop(then: @escaping @Sendable () -> Void = {}) {
    loop.post(then)
    loop.stop()
  }

  /// What the queue has done so far; callable from anywhere.
  public var metrics: ListenerQueueMetrics {
    ListenerQueueMetrics(
      name: name, capacity: capacity, waiting: waiting.load(ordering: .relaxed),
      delivered: delivered.load(ordering: .relaxed), dropped: dropped.load(ordering: .relaxed),
      processingTime: .nanoseconds(nanoseconds.load(ordering: .relaxed)))
  }
}

/// What a queue of events has done so far.
public struct ListenerQueueMetrics: Sendable, Equatable {
  /// The queue's name.
  public var name: String
  /// Events that may wait.
  public var capacity: Int
  /// Events that wait.
  public var waiting: Int
  /// Events that its listeners were told.
  public var delivered: Int
  /// Events that were dropped because too many waited.
  public var dropped: Int
  /// Time spent in listeners.
  public var processingTime: Duration
}
