import Datasets
import Groundwork
import LinuxSystem
import Synchronization

/// Runs the commands of `RDD.pipe` as processes, a few at once.
///
/// Sendable: constant but for the queue, which stands under a lock.
final class ExternalCommands: CommandRunner {
  private struct Queue {
    var running = 0
    var waiting: [@Sendable () -> Void] = []
  }
  private let atOnceMax: Int
  private let queue = Mutex(Queue())

  /// - Parameter atOnceMax: how many run at a time; the others wait in the order of their submission.
  init(atOnceMax: Int) { self.atOnceMax = max(1, atOnceMax) }

  func run(
    _ command: [String], environment: [String: String], input: Bytes,
    then: @escaping @Sendable (Result<Bytes, any Error>) -> Void
  ) {
    let start: @Sendable () -> Void = { [self] in
      ChildProcess.start(command[0], Array(command.dropFirst()), environment: environment, input: input) { result in
        self.ended()
        then(ExternalCommands.output(of: command[0], result))
      }
    }
    let isFirst = queue.withLock { queue in
      guard queue.running < atOnceMax else {
        queue.waiting.append(start)
        return false
      }
      queue.running += 1
      return true
    }
    if isFirst { start() }
  }

  /// One has ended: the next begins.
  private func ended() {
    let next = queue.withLock { queue in
      if !queue.waiting.isEmpty { return queue.waiting.removeFirst() as (@Sendable () -> Void)? }
      queue.running -= 1
      return nil
    }
    next?()
  }

  private static func output(
    of program: String, _ result: Result<(exit: ChildProcess.Exit, output: Bytes, error: Bytes), ProcessError>
  ) -> Result<Bytes, any Error> {
    switch result {
    case .failure(let error): return .failure(error)
    case .success(let ended):
      if ended.exit.isSuccess { return .success(ended.output) }
      let last = String(ended.error).split(separator: "\n").last.map { ": \($0)" } ?? ""
      return .failure(DatasetError(.commandFailed("'\(program)' ended with \(ended.exit)\(last)"), operation: "pipe"))
    }
  }
}
