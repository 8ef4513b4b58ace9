import Groundwork

/// Decides when batches begin and what times they carry; pure.
///
/// Ticks lie on the monotonic clock, a whole number of intervals apart. A batch's time is the wall clock at its tick,
/// aligned to the interval, and always greater than the one before, also after a restart or a clock that stepped back. A
/// batch that overruns its interval swallows the ticks it ran over: they are counted, never queued.
package struct BatchClock: Sendable {
  package let interval: Duration
  private let step: Int64
  /// When the next batch is due.
  package private(set) var nextTick: Instant
  package private(set) var lastTime: Timestamp?
  /// Ticks that were swallowed since the start.
  package private(set) var skippedTicks = 0
  /// How often a batch time was held because the wall clock stood before the last one.
  package private(set) var heldTimes = 0
  /// Ticks that were missed and are made up for, one after the other, before the next regular one.
  package private(set) var owed = 0
  private let catchesUp: Bool
  /// The most ticks that are made up for at once.
  package static let owedMax = 1_000

  /// - Parameters:
  ///   - lastTime: the last batch time of the run before; nil for a first run.
  ///   - catchesUp: whether missed ticks (while the job was down, or while a batch overran) are made up for by batches of
  ///     their own, at most `owedMax`; else they coalesce into the next batch.
  package init(
    interval: Duration, now: Instant, wallTime: Timestamp, lastTime: Timestamp?, catchesUp: Bool = false
  ) {
    self.interval = interval
    self.catchesUp = catchesUp
    step = max(1, interval.inMilliseconds)
    self.lastTime = lastTime
    let untilAligned = step - ((wallTime.milliseconds % step) + step) % step
    nextTick = now + .milliseconds(untilAligned)
    if catchesUp, let lastTime {
      let next = wallTime.milliseconds + untilAligned
      let missed = (next - lastTime.milliseconds) / step - 1
      owed = Int(min(max(0, missed), Int64(BatchClock.owedMax)))
      // Older ones are passed over, so that those made up for end where the regular ticks begin.
      if missed > Int64(owed) { self.lastTime = Timestamp(milliseconds: next - Int64(owed + 1) * step) }
    }
  }

  /// One batch's place in time.
  package struct Tick: Sendable, Equatable {
    package var time: Timestamp
    /// When the batch was due.
    package var due: Instant
    /// Ticks swallowed just before this one.
    package var skipped: Int
    /// Whether the wall clock stood at or before the last batch's time by more than an interval.
    package var isHeld: Bool
  }

  /// When the next tick can run: at once where some are owed.
  package func nextDue(now: Instant) -> Instant { owed > 0 ? now : nextTick }

  /// The tick to run at `now`, nil where none is due yet.
  package mutating func tick(now: Instant, wallTime: Timestamp) -> Tick? {
    if owed > 0, let last = lastTime {
      owed -= 1
      let time = Timestamp(milliseconds: last.milliseconds + step)
      lastTime = time
      return Tick(time: time, due: now, skipped: 0, isHeld: false)
    }
    guard now >= nextTick else { return nil }
    let behind = (now - nextTick).inNanoseconds / max(1, interval.inNanoseconds)
    let due = nextTick + interval * Int(behind)
    nextTick = due + interval
    if catchesUp, behind > 0, lastTime != nil {
      // The tick that is due now is one of those owed: they come in order.
      owed = Int(min(behind + 1, Int64(BatchClock.owedMax)))
      let passedOver = Int(behind) + 1 - owed
      skippedTicks += passedOver
      lastTime = lastTime.map { Timestamp(milliseconds: $0.milliseconds + Int64(passedOver) * step) }
      return tick(now: now, wallTime: wallTime)
    }
    skippedTicks += Int(behind)
    return take(due: due, skipped: Int(behind), wallTime: wallTime - (now - due))
  }

  /// A tick at once, whatever is due: for working through what is there as fast as it goes. The next regular one follows
  /// a whole interval later.
  package mutating func immediateTick(now: Instant, wallTime: Timestamp) -> Tick {
    nextTick = now + interval
    return take(due: now, skipped: 0, wallTime: wallTime)
  }

  private mutating func take(due: Instant, skipped: Int, wallTime: Timestamp) -> Tick {
    // The wall clock counts whole milliseconds and ticks come late by some: the nearest multiple is meant.
    let nearest = (wallTime.milliseconds + step / 2) / step * step
    var time = nearest
    var isHeld = false
    if let lastTime, time <= lastTime.milliseconds {
      time = lastTime.milliseconds + step
      isHeld = nearest < lastTime.milliseconds
      if isHeld { heldTimes += 1 }
    }
    lastTime = Timestamp(milliseconds: time)
    return Tick(time: Timestamp(milliseconds: time), due: due, skipped: skipped, isHeld: isHeld)
  }
}
