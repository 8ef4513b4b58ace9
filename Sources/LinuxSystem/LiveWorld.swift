import CPrimitives
import Glibc
import SystemInterfaces

/// The seams over Linux.
public struct LiveWorld: Sendable {
  /// The seams: what all code above them is given.
  public let world: World
  /// The world's runner, by its own type, so that it can be stopped.
  public let executors: ExecutorPool

  /// Makes the seams, and sets what concerns the whole process: SIGPIPE is ignored (a closed peer is an error of the
  /// call), freed memory is kept for the next fetch, and as many files may be open as is allowed.
  /// - Parameter executors: how many tasks run at the same time; nil is the number of processors.
  public static func make(executors: Int? = nil) -> LiveWorld {
    sluice_ignore_signal(SIGPIPE)
    sluice_keep_freed_memory()
    ThisProcess.raiseOpenFilesLimit()
    let pool = ExecutorPool(executors: executors ?? max(1, processorCount))
    return LiveWorld(
      world: World(
        clock: LinuxClock(), randomness: LinuxRandomness(), files: LinuxFileStore(), transport: LinuxTransport(),
        runner: pool),
      executors: pool)
  }

  /// Processors that are online.
  public static var processorCount: Int { Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// Ends the executors' threads. Loops end by their own `stop`.
  public func stop() { executors.stop() }
}
