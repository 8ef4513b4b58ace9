import Groundwork
import KafkaClients
import Simulation
import SystemInterfaces

/// A process that writes numbered records with an idempotent producer.
final class Loader {
  let process: SimulatedProcess
  let epoch: Int
  private(set) var sent: Set<Int> = []
  private let state = Cell(State())
  private let producer: Producer
  private let client: KafkaClient

  private struct State {
    /// By partition, in the order of sending.
    var waiting: [[Int]] = Array(repeating: [], count: FaultyPath.partitions)
    var acknowledged: [Int] = []
    var failures: [String] = []
  }

  init(_ simulation: SimulatedWorld, epoch: Int) {
    self.epoch = epoch
    process = simulation.makeProcess(named: "loader")
    client = KafkaClient(
      world: process.world, loop: process.makeLoop(named: "client"),
      configuration: ClientConfiguration(bootstrap: [PathHarness.address], clientID: "loader"))
    let state = state
    producer = Producer(client) { delivery in
      let partition = Int(delivery.partition.partition.rawValue)
      if let error = delivery.error { return state.value.failures.append("the producer failed: \(error)") }
      let count = Int(delivery.recordCount)
      state.value.acknowledged += state.value.waiting[partition].prefix(count)
      state.value.waiting[partition].removeFirst(count)
    }
  }

  var acknowledged: [Int] { state.value.acknowledged }
  var failures: [String] { state.value.failures }
  /// Records without an answer.
  var outstanding: Int { state.value.waiting.reduce(0) { $0 + $1.count } }

  func send(number: Int, partition: Int) {
    sent.insert(number)
    state.value.waiting[partition].append(number)
    client.loop.post { [producer, state, epoch] in
      do throws(ClientError) {
        try producer.send(
          topic: "in", partition: PartitionIndex(Int32(partition)), key: nil, value: Bytes("\(epoch)-\(number)"))
      } catch {
        state.value.failures.append("the producer took nothing: \(error)")
      }
    }
  }
}
