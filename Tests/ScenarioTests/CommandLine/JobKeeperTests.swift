import Groundwork
import Testing

@testable import Sluice

@Suite struct JobKeeperTests {
  func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

  @Test func aJobRunsOnce() {
    var keeper = JobKeeper("j", policy: nil, now: at(0))
    #expect(keeper.begin(now: at(0)) == [.start])
    #expect(keeper.ended(.exited(7), now: at(1), unit: 0) == [.finish(exitCode: 7)])
    #expect(keeper.signalled(2) == [])
    #expect(keeper.pauseOver(now: at(2)) == [])
    #expect(keeper.ended(.exited(0), now: at(3), unit: 0) == [])
  }

  @Test func aSignalGoesToTheJobAndItsEndCounts() {
    for policy in [nil, Supervisor.Policy()] {
      var keeper = JobKeeper("j", policy: policy, now: at(0))
      #expect(keeper.begin(now: at(0)) == [.start])
      #expect(keeper.signalled(15) == [.forward(signal: 15)])
      #expect(keeper.ended(.exited(3), now: at(1), unit: 0) == [.finish(exitCode: 3)])
    }
  }

  @Test func aFailureIsFollowedByAPauseAndAStart() {
    var keeper = JobKeeper("j", policy: .init(crashLimit: 3), now: at(0))
    #expect(keeper.begin(now: at(0)) == [.start])
    #expect(
      keeper.ended(.signalled(11), now: at(1), unit: 0.5)
        == [.report("j ended with signal 11; it starts again in 1.00 s"), .wait(.seconds(1))])
    #expect(keeper.pauseOver(now: at(2)) == [.start])
    #expect(
      keeper.ended(.exited(1), now: at(3), unit: 0.5)
        == [.report("j ended with exit code 1; it starts again in 2.00 s"), .wait(.seconds(2))])
    #expect(keeper.pauseOver(now: at(5)) == [.start])
    #expect(
      keeper.ended(.exited(9), now: at(6), unit: 0.5) == [
        .report(
          "j failed 3 times within 5.00 s, the last time with exit code 9; it is not started again. Mend it, or allow "
            + "more with --crash-limit and --crash-window"),
        .finish(exitCode: 9),
      ])
  }

  @Test func aSignalInThePauseEndsIt() {
    var keeper = JobKeeper("j", policy: .init(), now: at(0))
    _ = keeper.begin(now: at(0))
    _ = keeper.ended(.exited(1), now: at(1), unit: 0.5)
    #expect(keeper.signalled(2) == [.finish(exitCode: 130)])
    #expect(keeper.pauseOver(now: at(2)) == [])
  }
}
