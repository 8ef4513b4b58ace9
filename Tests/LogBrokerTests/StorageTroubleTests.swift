import Groundwork
import Testing

@testable import LogBroker

/// When a disk that refuses is given up.
@Suite struct StorageTroubleTests {
  @Test func onlyTroubleThatLastsCounts() {
    func at(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }
    var trouble = StorageTrouble()
    let times: [(Double, Bool)] = [
      (0, false), (0.1, false), (1, false), (2.9, false), (3, true), (3.5, true),
      // Over meanwhile: it begins anew.
      (13.6, false), (16, false), (16.7, true),
      // Single failures, far apart.
      (30, false), (60, false), (90, false),
    ]
    for (time, isTooLong) in times {
      #expect(trouble.failed(at: at(time)) == isTooLong, "at \(time) s")
    }
  }
}
