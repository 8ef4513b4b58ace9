import Groundwork
import Synchronization
import SystemInterfaces

/// What a receiver gives its data to, and tells of its trouble: one for each receiver stream. All calls may come from
/// any thread.
///
/// Single elements are gathered for `sluice.streaming.blockInterval` and then become a block, which one task computes;
/// groups are blocks of their own. A block counts when it is stored: in memory, and in the write-ahead log where that is
/// on.
///
/// Sendable: `inbox` guards itself; `life`, `gate`, `log`, `blockTimer` and `info` are confined to the receivers' loop.
public final class ReceiverSupervisor<Element: Sendable>: @unchecked Sendable {
  /// Called on the receivers' loop with nil when the elements are stored, else with why they are not.
  public typealias Stored = @Sendable ((any Error)?) -> Void

  struct Group: Sendable {
    var elements: [Element]
    var stored: Stored?
  }
  private struct Inbox {
    var singles: [Element] = []
    var groups: [Group] = []
    var count = 0
    /// Whether the receiver is started and its data still wanted.
    var isOpen = false
    var isSealScheduled = false
    /// Whether the receiver was asked to pause.
    var isHeldBack = false
    /// Elements that may wait before it is asked to; nil: any number.
    var pendingMax: Int?
    /// Whether the rate kept elements waiting since the last plan.
    var wasLimited = false
  }

  /// The number of the stream among the receivers' of its job, counted from 0.
  public let streamID: Int
  let blocks = ReceivedBlocks<Element>()
  private let settings: ReceiverSettings
  private let receiver: any Receiver<Element>
  private let coding: ElementCoding<Element>?
  private let helper: HelperLoop
  private let reports: ReceiverReports
  private let inbox = Mutex(Inbox())

  private var life: ReceiverLife
  private var gate: RateGate
  private var log: ReceiverLog?
  private var blockTimer: TimerID?
  private var nextBlock = Instant(nanoseconds: 0)
  private var info: ReceiverInfo

  init(
    _ receiver: any Receiver<Element>, streamID: Int, name: String, settings: ReceiverSettings,
    coding: ElementCoding<Element>?, helper: HelperLoop, reports: ReceiverReports, now: Instant
  ) {
    self.receiver = receiver
    self.streamID = streamID
    self.settings = settings
    self.coding = coding
    self.helper = helper
    self.reports = reports
    life = ReceiverLife(delayFirst: settings.restartDelay, delayMax: ReceiverSettings.restartDelayMax)
    let rate = settings.maxRate.map(Double.init)
    gate = RateGate(perSecond: rate, burst: settings.blockInterval * 2, now: now)
    inbox.withLock { $0.pendingMax = settings.pendingMax(rate) }
    info = ReceiverInfo(streamID: streamID, name: name, isActive: false)
  }

  // MARK: For receivers

  /// Takes one element; it joins the next block.
  /// - Returns: false where the stream is at its rate: the element is taken, but the receiver should pause until
  ///   `onResume`. Also false where the receiver is stopped: then the element is not taken.
  @discardableResult public func store(_ element: Element) -> Bool {
    inbox.withLock { inbox in
      guard inbox.isOpen else { return false }
      inbox.singles.append(element)
      return welcome(&inbox, 1)
    }
  }

  /// Takes elements as a block of their own: Spark's `store` of a buffer.
  /// - Parameters:
  ///   - elements: the block.
  ///   - stored: hears when they are stored, which is when a reliable receiver confirms them.
  /// - Returns: as `store` of an element.
  @discardableResult public func store(_ elements: [Element], stored: Stored? = nil) -> Bool {
    let (isOpen, mustSchedule, isWelcome) = inbox.withLock { inbox -> (Bool, Bool, Bool) in
      guard inbox.isOpen else { return (false, false, false) }
      inbox.groups.append(Group(elements: elements, stored: stored))
      defer { inbox.isSealScheduled = true }
      return (true, !inbox.isSealScheduled, welcome(&inbox, elements.count))
    }
    if mustSchedule { helper.loop.post { [self] in seal(isTick: false) } }
    if !isOpen, let stored { helper.loop.post { stored(StreamingError.receiver("the receiver is stopped")) } }
    return isWelcome
  }

  /// Takes the elements of a sequence as a block of their own.
  /// - Parameters:
  ///   - elements: the block.
  ///   - stored: as by `store` of a group.
  @discardableResult public func store(contentsOf elements: some Sequence<Element>, stored: Stored? = nil) -> Bool {
    store(Array(elements), stored: stored)
  }

  /// Takes elements, each as by `store` of one, with a single lock.
  @discardableResult package func storeEach(_ elements: [Element]) -> Bool {
    inbox.withLock { inbox in
      guard inbox.isOpen else { return false }
      inbox.singles.append(contentsOf: elements)
      return welcome(&inbox, elements.count)
    }
  }

  private func welcome(_ inbox: inout Inbox, _ count: Int) -> Bool {
    inbox.count += count
    guard let pendingMax = inbox.pendingMax, inbox.count > pendingMax else { return true }
    inbox.isHeldBack = true
    inbox.wasLimited = true
    return false
  }

  /// Stops the receiver and starts it anew after a while.
  /// - Parameters:
  ///   - reason: for people: `the connection broke`.
  ///   - error: what happened.
  ///   - delay: how long to wait; nil for `sluice.streaming.receiverRestartDelay`, which doubles up to 30 s as long as
  ///     nothing is received.
  public func restart(_ reason: String, error: (any Error)? = nil, after delay: Duration? = nil) {
    let text = error.map { "\(reason): \($0)" } ?? reason
    helper.loop.post { [self] in perform(life.restartRequested(text, after: delay)) }
  }

  /// Stops the receiver for good; what it has stored is still computed.
  public func stop(_ reason: String, error: (any Error)? = nil) {
    let text = error.map { "\(reason): \($0)" } ?? reason
    helper.loop.post { [self] in perform(life.stopRequested(text)) }
  }

  /// Tells the listeners and the log of trouble; the receiver goes on.
  public func reportError(_ message: String, error: (any Error)? = nil) {
    let text = error.map { "\(message): \($0)" } ?? message
    helper.loop.post { [self] in perform([.reportError(text)]) }
  }

  /// Whether the receiver was stopped, or waits to be started anew.
  public var isStopped: Bool { inbox.withLock { !$0.isOpen } }

  // MARK: On the receivers' loop

  /// Reads the log and begins to receive.
  /// - Parameter committed: up to where earlier runs have come.
  func begin(after committed: Int64, log: ReceiverLog?) throws {
    self.log = log
    var start = committed
    if let log, let coding {
      let (entries, cutBytes) = try log.open(after: committed)
      if cutBytes > 0 { reports.log("the log of \(info.name) had a torn end: \(cutBytes) bytes were cut off") }
      if let first = entries.first {
        start = first.first
        if start > committed, committed > 0 {
          reports.log("\(info.name): \(start - committed) elements are not in its log, which begins at \(start)")
        }
      }
      blocks.begin(at: start)
      blocks.append(
        try entries.map { ReceivedBlock(first: $0.first, elements: try coding.decode($0.elements, $0.count)) })
    } else {
      blocks.begin(at: start)
    }
    perform(life.startRequested())
    nextBlock = helper.loop.now + settings.blockInterval
    scheduleBlock()
  }

  /// From now on the receiver may bring so many elements a second, or as many as `sluice.streaming.receiver.maxRate` says
  /// where those are fewer; nil: as many as that.
  func obey(rate wanted: Double?) {
    let fixed = settings.maxRate.map(Double.init)
    let rate = wanted.map { min($0, fixed ?? $0) } ?? fixed
    gate.setRate(rate, at: helper.loop.now)
    inbox.withLock { $0.pendingMax = settings.pendingMax(rate) }
  }

  /// Whether the rate kept elements waiting since the last call, or does so now. Callable from anywhere.
  func takeWasLimited() -> Bool {
    inbox.withLock { inbox in
      defer { inbox.wasLimited = inbox.isHeldBack }
      return inbox.wasLimited || inbox.isHeldBack
    }
  }

  private func scheduleBlock() {
    blockTimer = helper.loop.at(nextBlock) { [self] in
      seal(isTick: true)
      let late = (helper.loop.now - nextBlock).inNanoseconds / max(1, settings.blockInterval.inNanoseconds)
      nextBlock = nextBlock + settings.blockInterval * Int(late + 1)
      scheduleBlock()
    }
  }

  /// Makes blocks of what has arrived, as far as the rate allows.
  /// - Parameter isTick: whether a block interval has passed, so that single elements become a block.
  func seal(isTick: Bool, isLast: Bool = false) {
    let allowance = isLast ? .max : gate.allowance(at: helper.loop.now)
    var taken: [Group] = []
    var count = 0
    let mustResume = inbox.withLock { inbox in
      if !isTick { inbox.isSealScheduled = false }
      var groups = 0
      while groups < inbox.groups.count, count < allowance {
        count += inbox.groups[groups].elements.count
        groups += 1
      }
      taken = Array(inbox.groups.prefix(groups))
      inbox.groups.removeFirst(groups)
      if isTick, !inbox.singles.isEmpty, count < allowance {
        let singles = min(inbox.singles.count, allowance - count)
        taken.append(Group(elements: Array(inbox.singles.prefix(singles)), stored: nil))
        inbox.singles.removeFirst(singles)
        count += singles
      }
      inbox.count -= count
      if !inbox.groups.isEmpty || (isTick && !inbox.singles.isEmpty) { inbox.wasLimited = true }
      guard inbox.isHeldBack, inbox.isOpen, inbox.count <= (inbox.pendingMax ?? .max) / 2 else { return false }
      inbox.isHeldBack = false
      return true
    }
    gate.take(count)
    if !taken.isEmpty { keep(taken) }
    if mustResume { receiver.onResume() }
  }

  /// Stores groups as blocks, all or none, and confirms them.
  private func keep(_ groups: [Group]) {
    var offset = blocks.end
    var made: [ReceivedBlock<Element>] = []
    for group in groups where !group.elements.isEmpty {
      made.append(ReceivedBlock(first: offset, elements: group.elements))
      offset += Int64(group.elements.count)
    }
    if let log, let coding, !made.isEmpty {
      do {
        try log.append(
          made.map {
            ReceiverLog.Entry(first: $0.first, count: $0.elements.count, elements: coding.encode($0.elements))
          })
      } catch { return refuse(groups, error) }
    }
    blocks.append(made)
    if !made.isEmpty {
      life.received()
      reports.dataArrived()
    }
    for group in groups { group.stored?(nil) }
  }

  /// The log did not take them: who asked to hear of it keeps them; the others are tried again with the next block.
  private func refuse(_ groups: [Group], _ error: any DiagnosableError) {
    inbox.withLock { inbox in
      let kept = groups.filter { $0.stored == nil }
      inbox.groups.insert(contentsOf: kept, at: 0)
      inbox.count += kept.reduce(0) { $0 + $1.elements.count }
    }
    for group in groups { group.stored?(error) }
    perform([.reportError("the write-ahead log could not be written: \(error)")])
    if !error.leavesUsable { reports.fail(error) }
  }

  /// Whether elements wait for the next block.
  var hasPending: Bool { inbox.withLock { $0.count > 0 } }

  /// All that has arrived becomes blocks; nothing more is taken.
  func end(_ reason: String) {
    perform(life.stopRequested(reason))
    if let blockTimer { helper.loop.cancel(blockTimer) }
    blockTimer = nil
    seal(isTick: true, isLast: true)
  }

  /// What lies before the offset is committed.
  func committed(before offset: Int64) { log?.removeFinished(before: offset) }

  private func perform(_ actions: [ReceiverLife.Action]) {
    for action in actions {
      switch action {
      case .start:
        inbox.withLock { $0.isOpen = true }
        receiver.onStart(self)
      case .stop:
        inbox.withLock { inbox in
          inbox.isOpen = false
          inbox.isHeldBack = false
        }
        receiver.onStop()
      case .wait(let delay): helper.loop.after(delay) { [self] in perform(life.delayPassed()) }
      case .reportStarted:
        info.isActive = true
        info.restarts = life.restarts
        let info = info
        reports.tell { $0.onReceiverStarted(info) }
      case .reportError(let text):
        info.isActive = life.state == .running
        info.lastError = text
        reports.log("\(info.name): \(text)")
        let info = info
        reports.tell { $0.onReceiverError(info) }
      case .reportStopped(let reason):
        info.isActive = false
        let info = info
        reports.tell { $0.onReceiverStopped(info, reason: reason) }
      }
    }
  }
}

extension ReceiverSupervisor where Element: StreamCodable {
  /// Takes elements in their canonical encoding, one after the other, as a block of their own: Spark's `store` of bytes.
  /// - Throws: `StreamDecodingError` where the bytes are something else; nothing is taken then.
  @discardableResult public func store(encoded bytes: Bytes, stored: Stored? = nil) throws -> Bool {
    var reader = StreamReader(bytes)
    var elements: [Element] = []
    while reader.remaining > 0 { elements.append(try Element.decode(from: &reader)) }
    return store(elements, stored: stored)
  }
}

/// Where a supervisor's news go; callable from any thread.
struct ReceiverReports: Sendable {
  /// A line for the operator of the job.
  var log: @Sendable (String) -> Void
  /// Calls each listener, on the driver's loop.
  var tell: @Sendable (@escaping @Sendable (any StreamingListener) -> Void) -> Void
  /// Blocks can be planned.
  var dataArrived: @Sendable () -> Void
  /// The job cannot go on.
  var fail: @Sendable (any Error) -> Void
}

/// What the settings say of receivers.
struct ReceiverSettings: Sendable {
  /// The longest wait before a restart.
  static let restartDelayMax: Duration = .seconds(30)

  /// Single elements that arrive within this time become one block.
  var blockInterval: Duration
  /// Records a second and receiver; nil for no limit.
  var maxRate: Int?
  /// The wait before the first restart.
  var restartDelay: Duration
  /// Where write-ahead logs stand; nil where there are none.
  var logDirectory: String?

  /// Elements that may wait for the next block before a receiver is asked to pause that may bring so many a second.
  func pendingMax(_ rate: Double?) -> Int? {
    rate.map { max(1, Int(min($0 * blockInterval.inSeconds * 2, 0x1p62))) }
  }
}
