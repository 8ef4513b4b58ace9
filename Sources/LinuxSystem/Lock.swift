import Glibc

/// A value behind a POSIX mutex.
///
/// Synchronization's `Mutex` would do, but the thread sanitizer does not know it on Linux and takes every use for a race;
/// it knows this one, so that the races it reports are real.
///
/// Sendable: the value is reached through `withLock` only, one thread at a time.
public final class Lock<Value: Sendable>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var value: Value

  /// The lock is free, and holds `value`.
  public init(_ value: Value) {
    self.value = value
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Runs `body` alone with the value. It must not come here again from inside.
  public func withLock<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
