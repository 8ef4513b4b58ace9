import SystemInterfaces
import Groundwork

/// One timer for many deadlines: whoever owns it works at the earliest one and then says the next. One that fires too
/// early costs nothing, so a later deadline moves nothing.
///
/// Sendable: touched on its loop alone.
final class Reminder: @unchecked Sendable {
  private let loop: any Loop
  private var timer: (id: TimerID, at: Instant)?

  init(_ loop: any Loop) { self.loop = loop }

  /// Sees to it that `work` runs at the instant or before; what was set for later is dropped, what was set for earlier
  /// stays and runs the work it was set with. Nothing for nil.
  func set(_ instant: Instant?, _ work: @escaping @Sendable () -> Void) {
    guard let instant else { return }
    if let timer {
      if timer.at <= instant { return }
      loop.cancel(timer.id)
    }
    let id = loop.at(instant) { [weak self] in
      self?.timer = nil
      work()
    }
    timer = (id, instant)
  }

  /// Nothing is due any more.
  func cancel() {
    if let timer { loop.cancel(timer.id) }
    timer = nil
  }
}
