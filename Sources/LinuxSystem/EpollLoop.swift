import CPrimitives
import Dispatch
import Glibc
import Groundwork
import Synchronization
import SystemInterfaces

/// Something with a descriptor that an `EpollLoop` watches. Confined to that loop.
protocol Pollable: AnyObject {
  /// The descriptor is ready; `flags` are epoll's.
  func ready(_ flags: UInt32)
  /// The loop ends: close the descriptor, tell nobody.
  func abandon()
}

/// A thread with a queue of posted work, timers, and descriptors watched by epoll.
///
/// The thread is one long-lived block on a Dispatch queue of its own. It sleeps in epoll_pwait2 with nanosecond
/// timeouts and a timer slack of 1 ns; a post writes to the eventfd only where the loop sleeps.
///
/// One piece of work at a time: what was posted, then the timers due, then descriptors, round and round; no kind can
/// starve another. After each piece the connections that were written to are flushed, so that the answers to many
/// requests that came in one read leave in one call.
///
/// Sendable: everything but `inbox` and the constants is touched on the loop's own thread only (`isCurrent`); the
/// initialiser fills it before the thread starts.
public final class EpollLoop: Loop, @unchecked Sendable {
  /// For debuggers, as given to `init`.
  public let name: String
  private let poll: Int32
  private let wakeup: Int32
  private let thread = Atomic<UInt>(0)
  private let nextTimer = Atomic<UInt64>(1)
  private let inbox: Lock<Inbox>
  private let ended = DispatchSemaphore(value: 0)

  private struct Inbox {
    var posts: [@Sendable () -> Void] = []
    var isAsleep = false
    var isStopped = false
  }

  // On the loop's thread only, from here on.
  private var ready: [@Sendable () -> Void] = []
  private var readyNext = 0
  private var timers = TimerHeap()
  /// What counts as due in this round: a timer set while timers run waits for the next round.
  private var roundTime: Int64 = 0
  private var events = [sluice_poll_event](repeating: sluice_poll_event(), count: 128)
  private var eventCount = 0
  private var eventNext = 0
  private var isEnding = false
  /// By descriptor; the number tells a new owner of a descriptor from the old one, whose events may still be listed.
  private var watched: [Int32: (number: UInt64, who: any Pollable)] = [:]
  private var watchNumber: UInt64 = 0
  /// False once the loop was stopped from its own thread.
  private var firesTimers = true
  private var unflushed: [StreamSocket] = []
  /// Space for gathering small parts into one write.
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)

  /// Makes the loop and starts its thread.
  /// - Parameter name: for debuggers; the first 15 bytes show in `top -H`.
  public init(named name: String) {
    self.name = name
    poll = sluice_poll_create()
    wakeup = sluice_event_create()
    inbox = Lock(Inbox())
    // Without descriptors nothing can go on, and nothing has begun: the limit is far below what one job needs.
    precondition(poll >= 0 && wakeup >= 0, "cannot make a loop: too many open files; raise the limit (ulimit -n)")
    _ = sluice_poll_control(poll, 1, wakeup, SLUICE_POLL_IN, 0)
    DispatchQueue(label: "sluice.loop.\(name)").async { self.run() }
  }

  deinit {
    // Not before: a post that began before the end may still write to the eventfd.
    System.close(poll)
    System.close(wakeup)
    scratch.deallocate()
  }

  // MARK: From anywhere

  /// CLOCK_MONOTONIC, read anew at each call.
  public var now: Instant { Instant(nanoseconds: System.now()) }
  /// CLOCK_REALTIME, in whole milliseconds.
  public var wallTime: Timestamp { Timestamp(milliseconds: System.wallMilliseconds()) }
  /// Whether the calling thread is the loop's own.
  public var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

  /// From any thread. Dropped once the loop was stopped. Costs a lock, and a system call only where the loop sleeps.
  public func post(_ work: @escaping @Sendable () -> Void) {
    let mustWake = inbox.withLock { inbox in
      if inbox.isStopped { return false }
      inbox.posts.append(work)
      let mustWake = inbox.isAsleep
      inbox.isAsleep = false
      return mustWake
    }
    if mustWake { wake() }
  }

  /// From any thread; O(log n) in the timers set. From another thread it is posted: dropped once the loop was stopped.
  /// - Returns: the timer's name, known at once in either case.
  @discardableResult
  public func at(_ instant: Instant, _ work: @escaping @Sendable () -> Void) -> TimerID {
    let number = nextTimer.wrappingAdd(1, ordering: .relaxed).newValue
    if isCurrent {
      timers.push(instant.nanoseconds, number, work)
    } else {
      post { self.timers.push(instant.nanoseconds, number, work) }
    }
    return TimerID(number)
  }

  /// From any thread, any number of times. What was posted before still runs; then what was given to `send` goes out as
  /// far as the kernel takes it at once, and all connections and listeners of the loop are closed without telling their
  /// sinks. Called on the loop itself, no timer fires any more.
  public func stop() {
    // A timer of this very round may be due already.
    if isCurrent { firesTimers = false }
    let mustWake = inbox.withLock { inbox in
      if inbox.isStopped { return false }
      inbox.isStopped = true
      inbox.posts.append { self.isEnding = true }
      let mustWake = inbox.isAsleep
      inbox.isAsleep = false
      return mustWake
    }
    if mustWake { wake() }
  }

  /// Blocks until the thread of a stopped loop has ended. Not on the loop itself.
  public func waitUntilEnded() {
    ended.wait()
    ended.signal()
  }

  private func wake() {
    var one: UInt64 = 1
    _ = try? System.call { write(wakeup, &one, 8) }
  }

  // MARK: On the loop

  public func cancel(_ timer: TimerID) { timers.cancel(timer.rawValue) }

  /// On the loop's own thread only, which is a precondition. Returns early where the loop is ending.
  public func pump(until done: () -> Bool) {
    precondition(isCurrent, "pump is for the loop's own thread")
    while !done(), !isEnding { runPiece() }
  }

  private func run() {
    thread.store(UInt(pthread_self()), ordering: .relaxed)
    sluice_name_thread(name)
    sluice_precise_timers()
    while !isEnding { runPiece() }
    flush()
    for fd in watched.keys.sorted() { watched[fd]?.who.abandon() }
    watched = [:]
    ready = []
    timers = TimerHeap()
    inbox.withLock { $0.posts = [] }
    thread.store(0, ordering: .relaxed)
    // Dispatch uses the thread again.
    sluice_name_thread("dispatch")
    ended.signal()
  }

  /// One piece of work, or one wait for some.
  private func runPiece() {
    if readyNext < ready.count {
      let work = ready[readyNext]
      readyNext += 1
      work()
    } else if firesTimers, let work = timers.popDue(at: roundTime) {
      work()
    } else if eventNext < eventCount {
      let event = events[eventNext]
      eventNext += 1
      handle(event)
    } else {
      nextRound()
    }
    if !unflushed.isEmpty { flush() }
  }

  private func nextRound() {
    ready.removeAll(keepingCapacity: true)
    readyNext = 0
    eventNext = 0
    eventCount = 0
    var timeout: Int64 = 0
    inbox.withLock { inbox in
      if inbox.posts.isEmpty {
        inbox.isAsleep = true
        timeout = -1
      } else {
        swap(&ready, &inbox.posts)
      }
    }
    if timeout < 0, let next = timers.nextTime() { timeout = max(0, next - System.now()) }
    eventCount = max(0, Int(sluice_poll_wait(poll, &events, Int32(events.count), timeout)))
    if ready.isEmpty {
      inbox.withLock { inbox in
        inbox.isAsleep = false
        swap(&ready, &inbox.posts)
      }
    }
    roundTime = System.now()
  }

  private func handle(_ event: sluice_poll_event) {
    if event.name == 0 {
      var count: UInt64 = 0
      _ = read(wakeup, &count, 8)
      return
    }
    let fd = Int32(truncatingIfNeeded: event.name & 0xFFFF_FFFF)
    guard let owner = watched[fd], owner.number & 0xFFFF_FFFF == event.name >> 32 else { return }
    owner.who.ready(event.flags)
  }

  // MARK: Descriptors, on the loop

  /// Watches a descriptor.
  /// - Parameter flags: `SLUICE_POLL_IN`, `SLUICE_POLL_OUT`; errors are always told.
  func watch(_ fd: Int32, _ flags: UInt32, _ who: any Pollable) {
    watchNumber += 1
    watched[fd] = (watchNumber, who)
    _ = sluice_poll_control(poll, 1, fd, flags, name(fd, watchNumber))
  }

  func changeWatch(_ fd: Int32, _ flags: UInt32) {
    guard let owner = watched[fd] else { return }
    _ = sluice_poll_control(poll, 3, fd, flags, name(fd, owner.number))
  }

  /// Stops watching; to be called before the descriptor is closed.
  func unwatch(_ fd: Int32) {
    guard watched.removeValue(forKey: fd) != nil else { return }
    _ = sluice_poll_control(poll, 2, fd, 0, 0)
  }

  private func name(_ fd: Int32, _ number: UInt64) -> UInt64 { (number & 0xFFFF_FFFF) << 32 | UInt64(UInt32(fd)) }

  /// The socket has something to write when the current piece of work is done.
  func flushSoon(_ socket: StreamSocket) { unflushed.append(socket) }

  private func flush() {
    while let socket = unflushed.popLast() { socket.flush() }
  }
}
