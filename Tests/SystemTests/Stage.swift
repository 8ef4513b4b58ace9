import Dispatch
import Glibc
import Groundwork
import LinuxSystem
import Simulation
import SystemInterfaces
import Testing

/// Which seams a test of the common suite runs on.
enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case live, simulated
  var testDescription: String { rawValue }
}

/// A world of either kind with one loop and an empty folder, and the means to wait for something in it.
///
/// Sendable: in simulation one thread uses it; live, its parts are safe from anywhere.
final class Stage: @unchecked Sendable {
  let world: World
  let loop: any Loop
  let folder: String
  /// nil where the stage is live.
  let simulation: SimulatedWorld?
  let process: SimulatedProcess?
  private let live: LiveWorld?

  init(_ kind: Kind, seed: UInt64 = 1, executors: Int = 2) throws {
    switch kind {
    case .live:
      let live = LiveWorld.make(executors: executors)
      self.live = live
      world = live.world
      simulation = nil
      process = nil
      let random = LinuxRandomness()
      folder = "/tmp/sluice-tests-\(getpid())-\(random.next())"
    case .simulated:
      let simulation = SimulatedWorld(seed: seed)
      let process = simulation.makeProcess(named: "process", executors: executors)
      self.simulation = simulation
      self.process = process
      live = nil
      world = process.world
      folder = "/tests"
    }
    loop = world.runner.makeLoop(named: "test")
    try world.files.createDirectories(folder)
  }

  deinit {
    loop.stop()
    (loop as? EpollLoop)?.waitUntilEnded()
    live?.stop()
    try? world.files.removeTree(folder)
  }

  var files: any FileStore { world.files }
  var transport: any Transport { world.transport }
  func path(_ name: String) -> String { folder + "/" + name }

  struct TimeOut: Error, CustomStringConvertible {
    var description: String
  }

  /// Waits until the condition holds; it is asked on the loop.
  /// - Throws: after 20 seconds, or where in simulation nothing is left to happen.
  func wait(_ what: String, until condition: @escaping @Sendable () -> Bool) throws {
    if let simulation { return try simulation.run(within: .seconds(20), until: condition) }
    let loop = loop
    let deadline = loop.now + .seconds(20)
    let finished = DispatchSemaphore(value: 0)
    // Asked by a timer and not by `pump`: a pump that came to run inside another's could not let that one return.
    @Sendable func look() {
      if condition() || loop.now > deadline {
        finished.signal()
      } else {
        loop.after(.microseconds(200)) { look() }
      }
    }
    loop.post { look() }
    finished.wait()
    if !condition() { throw TimeOut(description: "waited 20 s in vain: \(what)") }
  }

  /// Runs something on the loop and waits for its result.
  func perform<R: Sendable>(_ body: @escaping @Sendable () -> R) throws -> R {
    let result = Holder<R?>(nil)
    loop.post { result.value = body() }
    try wait("a posted block") { result.value != nil }
    return result.value!
  }
}
