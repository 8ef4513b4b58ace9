import Groundwork
import Testing

@testable import Sluice

@Suite struct SupervisorTests {
  func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

  @Test func endsThatAreNotFailures() {
    for end in [JobEnd.exited(0), .exited(2)] {
      var supervisor = Supervisor(policy: .init(), now: at(0))
      #expect(supervisor.ended(end, now: at(1), unit: 0.5) == .finish(exitCode: end.exitCode))
    }
    var supervisor = Supervisor(policy: .init(), now: at(0))
    supervisor.stopRequested()
    #expect(supervisor.ended(.signalled(15), now: at(1), unit: 0.5) == .finish(exitCode: 143))
  }

  @Test func aCrashLoopEnds() {
    var supervisor = Supervisor(policy: .init(crashLimit: 4, crashWindow: .seconds(60)), now: at(0))
    var now: Int64 = 0
    var pauses: [Duration] = []
    var last = Supervisor.Decision.finish(exitCode: 0)
    loop: for _ in 0..<10 {
      supervisor.started(now: at(now))
      last = supervisor.ended(.exited(1), now: at(now), unit: 0.5)
      guard case .restart(let pause) = last else { break loop }
      pauses.append(pause)
      now += pause.components.seconds
    }
    #expect(pauses == [.seconds(1), .seconds(2), .seconds(4)])
    #expect(last == .giveUp(failures: 4, within: .seconds(7), exitCode: 1))
  }

  @Test func pausesDoubleUpToTheLongest() {
    let policy = Supervisor.Policy(
      crashLimit: 100, crashWindow: .seconds(60), firstPause: .seconds(1), longestPause: .seconds(10))
    var supervisor = Supervisor(policy: policy, now: at(0))
    let pauses = (0..<6).map { _ in supervisor.ended(.signalled(9), now: at(0), unit: 0.5) }
    #expect(pauses == [1, 2, 4, 8, 10, 10].map { .restart(after: .seconds($0)) })
  }

  @Test func aHealthyRunBeginsAnew() {
    var supervisor = Supervisor(policy: .init(crashLimit: 3), now: at(0))
    var now: Int64 = 0
    for _ in 0..<20 {
      supervisor.started(now: at(now))
      now += 60
      #expect(supervisor.ended(.exited(1), now: at(now), unit: 0.5) == .restart(after: .seconds(1)))
      now += 1
    }
  }

  @Test func pausesSpread() {
    for (unit, pause) in [(0.0, 800), (0.5, 1000), (0.75, 1100)] {
      var supervisor = Supervisor(policy: .init(), now: at(0))
      #expect(supervisor.ended(.exited(1), now: at(0), unit: unit) == .restart(after: .milliseconds(pause)))
    }
  }
}
