import Groundwork
import LinuxSystem
import Synchronization
import SystemInterfaces

/// When the batches of one long run were done.
final class Laps: Sendable {
  private struct State {
    var batches = 0
    var last: (batches: Int, time: Instant)
    var costs: [Double] = []
  }
  private let sizes: [Int]
  private let clock = LinuxClock()
  private let state: Mutex<State>

  /// - Parameter sizes: after how many batches a lap ends.
  init(at sizes: [Int]) {
    self.sizes = sizes
    state = Mutex(State(last: (0, clock.now)))
  }

  func batchIsDone() {
    state.withLock { state in
      state.batches += 1
      // The first batch pays for what is made once.
      if state.batches == 1 { state.last = (1, clock.now) }
      guard state.costs.count < sizes.count, state.batches == sizes[state.costs.count] else { return }
      let now = clock.now
      state.costs.append((now - state.last.time).inSeconds / Double(state.batches - state.last.batches))
      state.last = (state.batches, now)
    }
  }

  /// Seconds a batch in each lap.
  var costs: [Double] { state.withLock { $0.costs } }
}
