import Groundwork
import Testing

@testable import Streaming

@Suite struct BatchClockTests {
  private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }
  private func wall(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: 1_700_000_000_000 + milliseconds) }

  @Test func theFirstTickIsAlignedToTheInterval() {
    // 1_700_000_000_000 is a multiple of 500.
    var clock = BatchClock(interval: .milliseconds(500), now: at(0), wallTime: wall(120), lastTime: nil)
    #expect(clock.nextTick == at(380))
    #expect(clock.tick(now: at(379), wallTime: wall(499)) == nil)
    let tick = clock.tick(now: at(380), wallTime: wall(500))
    #expect(tick == BatchClock.Tick(time: wall(500), due: at(380), skipped: 0, isHeld: false))
    #expect(clock.nextTick == at(880))
  }

  @Test func aLateTickKeepsItsTimeAndTheNextIsOnSchedule() {
    var clock = BatchClock(interval: .milliseconds(100), now: at(0), wallTime: wall(0), lastTime: nil)
    let tick = clock.tick(now: at(130), wallTime: wall(130))
    #expect(tick?.time == wall(100))
    #expect(tick?.due == at(100))
    #expect(clock.nextTick == at(200))
  }

  @Test func ticksThatWereRunOverAreSwallowedAndCounted() {
    var clock = BatchClock(interval: .milliseconds(100), now: at(0), wallTime: wall(0), lastTime: nil)
    _ = clock.tick(now: at(100), wallTime: wall(100))
    let tick = clock.tick(now: at(560), wallTime: wall(560))
    #expect(tick?.skipped == 3)
    #expect(tick?.due == at(500))
    #expect(tick?.time == wall(500))
    #expect(clock.skippedTicks == 3)
    #expect(clock.nextTick == at(600))
  }

  @Test func timesIncreaseAlthoughTheWallClockStepsBack() {
    var clock = BatchClock(interval: .milliseconds(100), now: at(0), wallTime: wall(0), lastTime: nil)
    var times: [Timestamp] = []
    for step in 1...6 {
      // After the third tick the wall clock stands an hour earlier.
      let shift: Int64 = step > 3 ? -3_600_000 : 0
      times.append(clock.tick(now: at(Int64(step) * 100), wallTime: wall(Int64(step) * 100 + shift))!.time)
    }
    #expect(times == [100, 200, 300, 400, 500, 600].map { wall($0) })
    #expect(clock.heldTimes == 3)
  }

  @Test func timesIncreaseAcrossARestart() {
    var clock = BatchClock(interval: .milliseconds(100), now: at(0), wallTime: wall(0), lastTime: wall(100))
    let tick = clock.tick(now: at(100), wallTime: wall(100))
    #expect(tick?.time == wall(200))
  }

  @Test func immediateTicksAreAlignedAndIncrease() {
    var clock = BatchClock(interval: .milliseconds(100), now: at(0), wallTime: wall(10), lastTime: nil)
    let times = (0..<3).map { clock.immediateTick(now: at(Int64($0)), wallTime: wall(10 + Int64($0))).time }
    #expect(times == [0, 100, 200].map { wall($0) })
  }

  /// Against a naive count of ticks over random delays.
  @Test func noTickIsLostOrDoubled() {
    for seed in 0..<200 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      let interval = Int64.random(in: 1...50, using: &random)
      var clock = BatchClock(interval: .milliseconds(interval), now: at(0), wallTime: wall(0), lastTime: nil)
      var now: Int64 = 0
      var batches = 0
      var last: Timestamp?
      for _ in 0..<100 {
        now += Int64.random(in: 0...(interval * 3), using: &random)
        if let tick = clock.tick(now: at(now), wallTime: wall(now)) {
          batches += 1 + tick.skipped
          if let last { #expect(tick.time > last, "seed \(seed)") }
          last = tick.time
        }
      }
      // 1_700_000_000_000 need not be a multiple of the interval: the first tick comes within one.
      let first = clock.nextTick.nanoseconds / 1_000_000 - Int64(batches) * interval
      #expect(first > 0 && first <= interval, "seed \(seed): the first tick at \(first) of \(interval)")
      #expect(clock.nextTick > at(now), "seed \(seed)")
    }
  }
}
