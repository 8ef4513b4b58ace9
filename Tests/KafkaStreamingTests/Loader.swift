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
    var waiting: [[Int]] = Array(repeating: [], count: FaultyWorld.partitions)
    var acknowledged: [Int] = []
    var failures: [String] = []
  }

  init(_ simulation: SimulatedWorld, epoch: Int) {
    self.epoch = epoch
    process = simulation.makeProcess(named: "loader")
    client = KafkaClient(
      world: process.world, loop: process.makeLoop(named: "client"),
      configuration: ClientConfiguration(bootstrap: [PathHarness.address], clientID: "loader"))
    process.atEnd { [client] in client.close() }
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

extension [Loader] {
  /// What is wrong with a topic that these have written, one after the other: every record that was acknowledged is in it,
  /// exactly once, in the order in which it was sent, and nothing else.
  func flaws(in rows: [Row]) -> [String] {
    var flaws: [String] = []
    var counts: [String: Int] = [:]
    var last: [Int: (partition: Int, number: Int)] = [:]
    for row in rows {
      let value = row.value!
      counts[value, default: 0] += 1
      let parts = value.split(separator: "-").compactMap { Int($0) }
      guard parts.count == 2, indices.contains(parts[0]), self[parts[0]].sent.contains(parts[1]) else {
        flaws.append("the input holds \(value), which was never sent")
        continue
      }
      if let before = last[parts[0]], before.partition == row.partition, before.number >= parts[1] {
        flaws.append("partition \(row.partition) holds \(value) behind \(before.number)")
      }
      last[parts[0]] = (row.partition, parts[1])
    }
    for (value, count) in counts.sorted(by: { $0.key < $1.key }) where count > 1 {
      flaws.append("\(value) is \(count) times in the input")
    }
    for loader in self {
      for number in loader.acknowledged where counts["\(loader.epoch)-\(number)"] == nil {
        flaws.append("\(loader.epoch)-\(number) was acknowledged and is not in the input")
      }
    }
    return flaws
  }
}
