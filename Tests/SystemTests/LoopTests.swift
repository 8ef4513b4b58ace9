import Groundwork
import SystemInterfaces
import Testing

/// What every loop does, live or simulated.
struct LoopTests {
  @Test(arguments: Kind.allCases) func postsRunInOrderAndNeverInside(kind: Kind) throws {
    let stage = try Stage(kind)
    let log = Log()
    let loop = stage.loop
    loop.post {
      loop.post {
        log.add("first begins")
        loop.post { log.add("third") }
        log.add("first ends")
      }
      loop.post { log.add("second") }
    }
    try stage.wait("three posts") { log.lines.count == 4 }
    #expect(log.lines == ["first begins", "first ends", "second", "third"])
  }

  @Test(arguments: Kind.allCases) func timersRunByTimeThenByOrder(kind: Kind) throws {
    let stage = try Stage(kind)
    let log = Log()
    let loop = stage.loop
    let early = Holder(false)
    _ = try stage.perform {
      let start = loop.now
      for (name, delay) in [("c", 30), ("a", 10), ("b1", 20), ("b2", 20)] {
        let due = start + .milliseconds(delay)
        loop.at(due) {
          if loop.now < due { early.value = true }
          log.add(name)
        }
      }
      loop.at(start + .milliseconds(-5)) { log.add("past") }
      return 0
    }
    try stage.wait("five timers") { log.lines.count == 5 }
    #expect(log.lines == ["past", "a", "b1", "b2", "c"])
    #expect(!early.value)
  }

  @Test(arguments: Kind.allCases) func cancelledTimersDoNotRun(kind: Kind) throws {
    let stage = try Stage(kind)
    let log = Log()
    let loop = stage.loop
    _ = try stage.perform {
      let start = loop.now
      let ids = (0..<1000).map { number in loop.at(start + .milliseconds(5)) { log.add("\(number)") } }
      for (number, id) in ids.enumerated() where number % 100 != 7 { loop.cancel(id) }
      let ran = loop.at(start + .milliseconds(1)) { log.add("early") }
      loop.at(start + .milliseconds(10)) {
        loop.cancel(ran)
        log.add("end")
      }
      return 0
    }
    try stage.wait("the end") { log.lines.last == "end" }
    #expect(log.lines == ["early"] + (0..<10).map { "\($0 * 100 + 7)" } + ["end"])
  }

  @Test(arguments: Kind.allCases) func aTimerSetForNowDoesNotStarvePosts(kind: Kind) throws {
    let stage = try Stage(kind)
    let loop = stage.loop
    let isEnough = Holder(false)
    @Sendable func again() { if !isEnough.value { loop.at(loop.now) { again() } } }
    @Sendable func count(_ left: Int) {
      if left == 0 { isEnough.value = true } else { loop.post { count(left - 1) } }
    }
    loop.post {
      again()
      count(100)
    }
    try stage.wait("a hundred posts beside a busy timer") { isEnough.value }
    #expect(isEnough.value)
  }

  @Test(arguments: Kind.allCases) func pumpHandlesWorkFromInside(kind: Kind) throws {
    let stage = try Stage(kind)
    let log = Log()
    let loop = stage.loop
    loop.post {
      let answer = Holder(0)
      loop.after(.milliseconds(2)) { answer.value = 42 }
      loop.post { log.add("while pumping") }
      loop.pump { answer.value != 0 }
      log.add("answer \(answer.value)")
    }
    loop.post { log.add("behind") }
    try stage.wait("the pump") { log.lines.count == 3 }
    #expect(
      log.lines == ["behind", "while pumping", "answer 42"] || log.lines == ["while pumping", "behind", "answer 42"])
  }

  @Test(arguments: Kind.allCases) func aLoopKnowsWhetherItIsCurrent(kind: Kind) throws {
    let stage = try Stage(kind)
    let (loop, other) = (stage.loop, stage.world.runner.makeLoop(named: "other"))
    defer { other.stop() }
    #expect(!loop.isCurrent)
    #expect(try stage.perform { loop.isCurrent && !other.isCurrent })
    let seen = Holder<Bool?>(nil)
    loop.post { other.post { seen.value = other.isCurrent && !loop.isCurrent } }
    try stage.wait("the other loop") { seen.value != nil }
    #expect(seen.value == true)
  }

  @Test(arguments: Kind.allCases) func aStoppedLoopRunsWhatWasPostedAndNothingElse(kind: Kind) throws {
    let stage = try Stage(kind)
    let other = stage.world.runner.makeLoop(named: "other")
    let log = Log()
    other.post { log.add("before") }
    other.after(.milliseconds(1)) { log.add("timer") }
    other.post {
      other.stop()
      other.post { log.add("after") }
      log.add("stopping")
    }
    try stage.wait("the stop") { log.lines.last == "stopping" }
    let isLater = Holder(false)
    stage.loop.post { stage.loop.after(.milliseconds(20)) { isLater.value = true } }
    try stage.wait("20 ms") { isLater.value }
    #expect(log.lines == ["before", "stopping"])
  }

  @Test(arguments: Kind.allCases) func clocksAgree(kind: Kind) throws {
    let stage = try Stage(kind)
    let before = stage.world.clock.now
    let inside = try stage.perform { [loop = stage.loop] in loop.now }
    #expect(before <= inside && inside <= stage.world.clock.now)
    #expect(stage.world.clock.wallTime > 1_300_000_000_000)
    #expect(stage.world.randomness.next() != stage.world.randomness.next())
  }

  @Test func postsFromManyThreadsAllArriveInTheirOrder() throws {
    let stage = try Stage(.live)
    let loop = stage.loop
    let seen = Holder<[Int: Int]>([:])
    let wrong = Counter()
    let total = Counter()
    let senders = (0..<4).map { stage.world.runner.makeLoop(named: "sender \($0)") }
    defer { for sender in senders { sender.stop() } }
    for (number, sender) in senders.enumerated() {
      sender.post {
        for index in 0..<5000 {
          loop.post {
            seen.change { seen in
              if seen[number, default: 0] != index { wrong.increment() }
              seen[number] = index + 1
            }
            total.increment()
          }
        }
      }
    }
    try stage.wait("20,000 posts") { total.value == 20_000 }
    #expect(wrong.value == 0)
  }
}
