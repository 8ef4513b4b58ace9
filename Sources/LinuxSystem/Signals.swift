import CPrimitives
import Glibc
import Groundwork

/// The signals this program speaks of.
public enum Signal: Int32, Sendable {
  /// SIGHUP: the terminal has gone.
  case hangup = 1
  /// SIGINT: Ctrl-C.
  case interrupt = 2
  /// SIGKILL: ends the process at once, cannot be caught.
  case kill = 9
  /// SIGTERM: a polite request to end.
  case terminate = 15
  /// SIGCONT: a stopped process goes on.
  case continuation = 18
  /// SIGSTOP: stops the process until `continuation`, cannot be caught.
  case stop = 19
}

/// Turns signals into calls on a loop, for Ctrl-C and graceful stops.
///
/// The handler only writes a byte into a pipe that the loop watches. One watcher at a time: a later one takes over.
///
/// Sendable: `reading` and `handler` are touched on the loop only, after `init`.
public final class SignalWatcher: Pollable, @unchecked Sendable {
  private let loop: EpollLoop
  private let signals: [Signal]
  private let handler: @Sendable (Signal) -> Void
  private var reading: Int32 = -1
  private let writing: Int32

  /// From now on the signals do not end the process but call `handler` on the loop; but for a hangup that is ignored, as
  /// under nohup.
  public init(
    _ signals: [Signal] = [.interrupt, .terminate, .hangup], on loop: EpollLoop,
    _ handler: @escaping @Sendable (Signal) -> Void
  ) throws(ProcessError) {
    self.loop = loop
    self.signals = signals
    self.handler = handler
    do throws(Errno) {
      (reading, writing) = try System.pipe()
    } catch {
      throw ProcessError(error, "a signal handler")
    }
    System.setNonBlocking(reading)
    System.setNonBlocking(writing)
    loop.post { if self.reading >= 0 { loop.watch(self.reading, SLUICE_POLL_IN, self) } }
    for signal in signals { _ = sluice_signals_to(writing, signal.rawValue) }
  }

  /// The signals have their default effect again. The writing end of the pipe stays open: a handler may be running.
  public func stop() {
    for signal in signals { _ = sluice_signals_to(0, signal.rawValue) }
    loop.post {
      guard self.reading >= 0 else { return }
      self.loop.unwatch(self.reading)
      self.abandon()
    }
  }

  func ready(_ flags: UInt32) {
    var numbers = [UInt8](repeating: 0, count: 64)
    guard case .moved(let count) = System.progress({ read(reading, &numbers, 64) }) else { return }
    for number in numbers.prefix(count) {
      if let signal = Signal(rawValue: Int32(number)) { handler(signal) }
    }
  }

  func abandon() {
    System.close(reading)
    reading = -1
  }
}
