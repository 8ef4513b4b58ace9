import Groundwork
import SystemInterfaces

/// A world on one thread in virtual time: clock, disk, network and executors of any number of simulated processes, all
/// of it a function of the seed.
///
/// Nothing happens by itself: `step`, the `run…` functions and a loop's `pump` take the earliest event and run it. Time
/// jumps from event to event. A seed is a bug report: the same program under the same seed does the same.
///
/// Sendable: a world, and all that was made by it, is used by one thread at a time, that of the test that made it. The
/// code under test is given loops and files as Sendable values, but starts no threads: the import table allows it none.
public final class SimulatedWorld: @unchecked Sendable {
  /// Decides every choice the world makes; failures print it.
  public let seed: UInt64
  /// How far virtual time may go in one `pump` or `run(until:)` before the world is called stuck.
  public var patience: Duration = .seconds(3600)
  /// How many events one `pump` or `run…` may take.
  public var stepsMax = 50_000_000
  /// Up to how late a posted block runs; the delay is drawn from the seed, the order on one loop is kept. Zero: at the
  /// same instant.
  public var postDelayMax: Duration = .zero

  /// The network between the processes.
  public let network: SimulatedNetwork
  /// The disk of processes that were given none of their own.
  public let disk: SimulatedDisk

  /// Events run so far.
  public private(set) var steps = 0
  private(set) var nanoseconds: Int64 = 1_000_000_000
  private var wallOffset: Int64 = 1_356_998_400_000
  private var queue = EventQueue()
  private var trace: EventTrace
  var random: SeededRandom
  /// The loop whose event runs now.
  var current: SimulatedLoop?
  /// All processes that were made, in that order, the dead ones included.
  public private(set) var processes: [SimulatedProcess] = []

  /// - Parameters:
  ///   - seed: decides every choice the world makes.
  ///   - traceCapacity: how many of the last events a failure shows at most.
  public init(seed: UInt64, traceCapacity: Int = 256) {
    self.seed = seed
    trace = EventTrace(capacity: traceCapacity)
    random = SeededRandom(seed: seed)
    network = SimulatedNetwork(seed: random.next())
    disk = SimulatedDisk(name: "disk", seed: random.next())
    network.world = self
    disk.world = self
  }

  // MARK: Time

  /// Virtual monotonic time: 1 s when the world begins; it moves from event to event, and inside calls that cost time.
  public var now: Instant { Instant(nanoseconds: nanoseconds) }
  /// 2013-01-01T00:00:00Z when the monotonic clock stood at 0, plus the jumps.
  public var wallTime: Timestamp { Timestamp(milliseconds: wallOffset + nanoseconds / 1_000_000) }

  /// Sets the wall clock forward, or back where negative; the monotonic clock goes on.
  public func jumpWallClock(by duration: Duration) {
    wallOffset += duration.inMilliseconds
    note("wall clock jumps by \(duration)")
  }

  /// Lets time pass without running anything: what a blocking call costs.
  func pass(_ duration: Int64) { nanoseconds += max(0, duration) }

  // MARK: Processes

  /// A new process: its seams share this world's clock and network.
  /// - Parameters:
  ///   - disk: its disk; nil is the world's. Processes on one disk share its files.
  ///   - executors: what its runner says of itself.
  public func makeProcess(
    named name: String, on disk: SimulatedDisk? = nil, executors: Int = 2
  ) -> SimulatedProcess {
    let process = SimulatedProcess(name, in: self, disk: disk ?? self.disk, executors: executors, seed: random.next())
    processes.append(process)
    note("start \(name)")
    return process
  }

  /// Another machine's disk.
  public func makeDisk(named name: String) -> SimulatedDisk {
    let disk = SimulatedDisk(name: name, seed: random.next())
    disk.world = self
    return disk
  }

  /// The power of a machine goes: every process on the disk dies, and what was not synced is lost or torn.
  public func losePower(of disk: SimulatedDisk? = nil) {
    let disk = disk ?? self.disk
    for process in processes where process.disk === disk { process.kill() }
    disk.losePower()
  }

  /// Ends the world: what lives in it dies, and events to come, connections and files are let go of. A world and what
  /// lives in it hold each other, so without this neither is ever freed: for tests that run many worlds. Nothing happens
  /// in it any more.
  public func end() {
    var disks = [disk]
    // All of them are dead before one frees what it holds.
    for process in processes { process.kill() }
    for process in processes {
      process.end()
      if !disks.contains(where: { $0 === process.disk }) { disks.append(process.disk) }
    }
    for disk in disks { disk.end() }
    network.end()
    queue = EventQueue()
    processes = []
  }

  // MARK: Events

  /// Runs `work` at `instant`, on no loop: for what the test does to the world (a kill, a partition) while others run.
  public func at(_ instant: Instant, _ work: @escaping () -> Void) {
    schedule(at: instant.nanoseconds, .fault, owner: nil, work)
  }

  /// Runs `work` after `delay`, on no loop.
  public func after(_ delay: Duration, _ work: @escaping () -> Void) { at(now + delay, work) }

  @discardableResult
  func schedule(
    at time: Int64, _ kind: EventQueue.Kind, owner: SimulatedLoop?, _ work: @escaping () -> Void
  ) -> UInt64 {
    queue.push(time: max(time, nanoseconds), kind: kind, owner: owner, work)
  }

  func cancel(_ name: UInt64) { queue.cancel(name) }
  func resumed(_ process: SimulatedProcess) { queue.resume(process, at: nanoseconds) }

  /// Runs the next event.
  /// - Returns: false where there is none.
  @discardableResult
  public func step() -> Bool {
    guard let event = queue.pop() else { return false }
    nanoseconds = max(nanoseconds, event.time)
    steps += 1
    trace.add(nanoseconds, event.owner?.name ?? "world", Int(event.kind.rawValue))
    running(on: event.owner, event.work)
    return true
  }

  /// Runs `work` with `loop` as the current one.
  func running(on loop: SimulatedLoop?, _ work: () -> Void) {
    let before = current
    current = loop
    work()
    current = before
  }

  /// Runs events until the condition holds; it is asked first and after each event.
  /// - Throws: where the events run out, or the time or the steps allowed are used up.
  public func run(within limit: Duration? = nil, until condition: () -> Bool) throws(SimulationError) {
    let deadline = nanoseconds + (limit ?? patience).inNanoseconds
    let lastStep = steps + stepsMax
    while !condition() {
      if steps >= lastStep { throw failure(.outOfSteps) }
      guard let next = queue.nextTime() else { throw failure(.ranDry) }
      if next > deadline { throw failure(.outOfTime) }
      step()
    }
  }

  /// Runs what happens in the next `duration`; the clock then stands at its end.
  public func run(for duration: Duration) throws(SimulationError) {
    let end = nanoseconds + duration.inNanoseconds
    let lastStep = steps + stepsMax
    while let next = queue.nextTime(), next <= end {
      if steps >= lastStep { throw failure(.outOfSteps) }
      step()
    }
    nanoseconds = max(nanoseconds, end)
  }

  /// Runs until no event is left.
  /// - Throws: where `limit` of virtual time is not enough: something keeps setting timers.
  public func runUntilIdle(limit: Duration = .seconds(3600)) throws(SimulationError) {
    let deadline = nanoseconds + limit.inNanoseconds
    let lastStep = steps + stepsMax
    while let next = queue.nextTime() {
      if next > deadline { throw failure(.outOfTime) }
      if steps >= lastStep { throw failure(.outOfSteps) }
      step()
    }
  }

  /// A loop's `pump`: it cannot throw, so a world that is stuck stops the test with the whole story.
  func pump(for loop: SimulatedLoop, until done: () -> Bool) {
    let deadline = nanoseconds + patience.inNanoseconds
    let lastStep = steps + stepsMax
    while !done(), loop.isRunning {
      if steps >= lastStep { fatalError(failure(.outOfSteps).description) }
      guard let next = queue.nextTime() else { fatalError(failure(.ranDry).description) }
      if next > deadline { fatalError(failure(.outOfTime).description) }
      step()
    }
  }

  // MARK: The story

  /// Puts a line into the trace.
  public func note(_ text: String) { trace.add(nanoseconds, text, -1) }

  /// A number that follows from every event and note so far: equal for two runs of one seed.
  public var traceDigest: UInt64 { trace.digest }

  /// The seed, the time, what is pending and what happened last: for the comment of a failing expectation.
  public func report(last count: Int = 60) -> String {
    var lines = ["seed \(seed), virtual time \(secondsText(nanoseconds)), \(steps) steps", "pending:"]
    let pending = queue.descriptions(limit: 30)
    lines += pending.isEmpty ? ["  nothing"] : pending.map { "  " + $0 }
    lines.append("last events:")
    lines += trace.lines(last: count).map { "  " + $0 }
    return lines.joined(separator: "\n")
  }

  private func failure(_ kind: SimulationError.Kind) -> SimulationError {
    let what =
      switch kind {
      case .ranDry: "the simulation ran dry: nothing is left to happen and the condition does not hold"
      case .outOfTime: "the simulation is stuck: the virtual time allowed has passed"
      case .outOfSteps: "the simulation goes round in circles: the steps allowed are used up"
      }
    return SimulationError(kind: kind, seed: seed, description: what + "\n" + report())
  }
}
