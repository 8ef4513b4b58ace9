import Groundwork
import LinuxSystem
import SystemInterfaces

/// What one run took, and a checksum of its result.
package struct Measured: Sendable {
  package var seconds: Double
  package var sum: Int
  /// What else is worth a word.
  package var note = ""

  package init(seconds: Double, sum: Int, note: String = "") {
    self.seconds = seconds
    self.sum = sum
    self.note = note
  }

  /// Runs something by the clock.
  package static func timing(_ body: () throws -> Int) rethrows -> Measured {
    let clock = LinuxClock()
    let began = clock.now
    let sum = try body()
    return Measured(seconds: (clock.now - began).inSeconds, sum: sum)
  }
}
