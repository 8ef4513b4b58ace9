import Groundwork
import KafkaClients
import KafkaProtocol
import Simulation
import SystemInterfaces

/// A simulated world with fake brokers and one client process.
struct Harness {
  let simulation: SimulatedWorld
  let cluster: FakeCluster
  let process: SimulatedProcess
  let loop: SimulatedLoop

  init(seed: UInt64 = 1, brokers: Int32 = 1, conditions: NetworkConditions = NetworkConditions()) throws {
    simulation = SimulatedWorld(seed: seed)
    simulation.network.conditions = conditions
    cluster = FakeCluster(simulation)
    try cluster.start(brokers)
    process = simulation.makeProcess(named: "client")
    loop = process.makeLoop(named: "loop")
  }

  func client(
    bootstrap: [Address] = [FakeCluster.address(0)], _ adjust: (inout ClientConfiguration) -> Void = { _ in }
  ) -> KafkaClient {
    var configuration = ClientConfiguration(bootstrap: bootstrap)
    adjust(&configuration)
    return KafkaClient(world: process.world, loop: loop, configuration: configuration)
  }

  /// Runs `start` on the loop and then the world until its completion was called.
  func wait<Value: Sendable>(
    _ start: @escaping @Sendable (@escaping @Sendable (Result<Value, ClientError>) -> Void) -> Void
  ) throws -> Result<Value, ClientError> {
    let box = Box<Result<Value, ClientError>>()
    loop.post { start { box.value = $0 } }
    try simulation.run { box.value != nil }
    return box.value!
  }

  /// Runs `work` on the client's loop.
  func onLoop(_ work: @escaping @Sendable () -> Void) throws {
    let box = Box<Bool>()
    loop.post {
      work()
      box.value = true
    }
    try simulation.run { box.value != nil }
  }
}

/// Sendable: confined to the thread of its simulated world.
final class Box<Value>: @unchecked Sendable {
  var value: Value?
}

/// Sendable: confined to the thread of its simulated world.
final class Collected<Value>: @unchecked Sendable {
  var values: [Value] = []
}

extension Result {
  var error: Failure? {
    if case .failure(let error) = self { error } else { nil }
  }
}
