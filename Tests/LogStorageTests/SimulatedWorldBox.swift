import Groundwork
import Simulation
import SystemInterfaces

/// A simulated machine with one process at a time.
final class SimulatedWorldBox {
  let world: SimulatedWorld
  private(set) var process: SimulatedProcess
  private var lives = 0

  init(seed: UInt64 = 1) {
    world = SimulatedWorld(seed: seed)
    process = world.makeProcess(named: "life 0")
  }

  var files: any FileStore { process.world.files }
  var disk: SimulatedDisk { process.disk }

  private func begin() {
    lives += 1
    process = world.makeProcess(named: "life \(lives)")
  }

  /// The process dies, what it wrote stays; another one follows.
  func kill() {
    process.kill()
    begin()
  }

  /// The power goes, what was not synced is lost in part; another process follows.
  func losePower() {
    world.losePower()
    begin()
  }
}
