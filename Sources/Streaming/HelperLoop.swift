import Synchronization
import SystemInterfaces

/// A loop beside the driver's for what may block for a while: moving and syncing files, logs of receivers, sockets that
/// must be read while tasks run. Its thread begins with the first use.
///
/// Work runs in the order of the calls. In simulation it is one more loop, so nothing here depends on threads.
package final class HelperLoop: Sendable {
  private let name: String
  private let runner: any Runner
  private let made = Mutex<(any Loop)?>(nil)

  /// - Parameter name: for debuggers, up to 15 bytes.
  package init(named name: String, runner: any Runner) {
    self.name = name
    self.runner = runner
  }

  /// The loop itself.
  package var loop: any Loop {
    made.withLock { made in
      if let made { return made }
      let loop = runner.makeLoop(named: name)
      made = loop
      return loop
    }
  }

  /// Runs `work` here and tells `then` of the result on the caller's loop. After `stop` nothing runs and nobody is told.
  package func perform<Output: Sendable>(
    for caller: any Loop, _ work: @escaping @Sendable () throws -> Output,
    then: @escaping @Sendable (Result<Output, any Error>) -> Void
  ) {
    loop.post {
      let result = Result<Output, any Error> { try work() }
      caller.post { then(result) }
    }
  }

  /// Ends the thread after what was posted before. Work that comes later is dropped.
  package func stop() { made.withLock { $0 }?.stop() }
}

extension StreamingContext {
  /// The helper loop of a name, which ends with the job.
  package func helperLoop(named name: String) -> HelperLoop {
    let helpers = attachment(HelperLoops.self) { HelperLoops() }
    if let helper = helpers.byName[name] { return helper }
    let helper = HelperLoop(named: name, runner: environment.world.runner)
    helpers.byName[name] = helper
    atStop { helper.stop() }
    return helper
  }
}

/// The helper loops of a context, which are asked for while the job is defined.
private final class HelperLoops {
  var byName: [String: HelperLoop] = [:]
}
