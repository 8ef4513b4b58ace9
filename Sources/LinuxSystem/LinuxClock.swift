import CPrimitives
import Groundwork
import SystemInterfaces

/// The machine's clocks: CLOCK_MONOTONIC and CLOCK_REALTIME.
public struct LinuxClock: Clock {
  /// All of them read the same two clocks of the system.
  public init() {}
  /// CLOCK_MONOTONIC, in nanoseconds since the machine's start, without the time it was suspended.
  public var now: Instant { Instant(nanoseconds: System.now()) }
  /// CLOCK_REALTIME, in whole milliseconds.
  public var wallTime: Timestamp { Timestamp(milliseconds: System.wallMilliseconds()) }
}

/// Random numbers of the operating system, drawn 32 at a time.
public final class LinuxRandomness: Randomness {
  private let pool = Lock<[UInt64]>([])

  /// Draws nothing yet.
  public init() {}

  /// From any thread. One system call for every 32 numbers.
  public func next() -> UInt64 {
    pool.withLock { pool in
      if let number = pool.popLast() { return number }
      // 256 bytes or fewer come whole and without interruption once the system has started (getrandom(2)).
      let numbers = [UInt64](unsafeUninitializedCapacity: 32) { buffer, count in
        let got = sluice_random_fill(buffer.baseAddress!, 256)
        count = got == 256 ? 32 : 0
      }
      if numbers.isEmpty {
        var system = SystemRandomNumberGenerator()
        return system.next()
      }
      pool = numbers
      return pool.removeLast()
    }
  }
}
