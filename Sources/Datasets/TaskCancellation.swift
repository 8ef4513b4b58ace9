import Synchronization

/// A flag that tells running tasks that nobody waits for them any more. Set from anywhere; never taken back.
public final class TaskCancellation: Sendable {
  @usableFromInline let flag = Atomic<Bool>(false)
  /// Cancels this one too: that of the stage, where this is a single attempt's.
  @usableFromInline let parent: TaskCancellation?

  /// - Parameter parent: a flag whose cancellation is this one's too.
  public init(parent: TaskCancellation? = nil) { self.parent = parent }

  /// Whether the work is not wanted any more.
  @inlinable public var isCancelled: Bool {
    if flag.load(ordering: .relaxed) { return true }
    if let parent { return parent.flag.load(ordering: .relaxed) }
    return false
  }

  /// Says that the work is not wanted any more.
  public func cancel() { flag.store(true, ordering: .relaxed) }
}

/// Thrown by a task that found itself cancelled: not a failure, nobody waits for it.
public struct TaskCancelled: Error, Sendable {
  /// An error without content.
  public init() {}
}

extension TaskContext {
  /// Whether nobody waits for the task any more: its job was cancelled or has failed, or another attempt was faster. A
  /// source asks once a chunk; code that runs long by itself asks now and then, and ends by `checkCancellation`.
  @inlinable public var isCancelled: Bool { cancellation?.isCancelled ?? false }

  /// Ends the task where nobody waits for it any more. Cheap: once a chunk.
  @inlinable public func checkCancellation() throws {
    if isCancelled { throw TaskCancelled() }
  }
}
