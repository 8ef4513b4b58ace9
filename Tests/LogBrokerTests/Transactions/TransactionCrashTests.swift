import Groundwork
import KafkaProtocol
import LogBroker
import LogStorage
import Simulation
import SystemInterfaces
import Testing

/// Goal: a transaction over two partitions and a group's offsets is there whole or not at all, whatever the moment of
/// the broker's death; and whole where its end was answered. Strategy: the same script again and again, the process
/// killed at its first write, its second, and so on, the struck write torn or not begun; under `.sync` the power goes too,
/// and syncs are struck as well. Then another producer of the same id begins, which ends what was left open.
struct TransactionCrashTests {
  private let p0 = TopicPartition("t", 0)
  private let p1 = TopicPartition("t", 1)

  private struct Way: Sendable, CustomStringConvertible {
    var generation: Generation
    var isCommit: Bool
    var policy: FlushPolicy
    var description: String { "\(generation) \(isCommit ? "commit" : "abort") \(policy)" }
  }

  /// - Returns: whether the fault struck at all, and what was wrong.
  private func run(_ way: Way, _ operation: DiskFault.Operation, at step: Int) throws -> (struck: Bool, wrong: String?)
  {
    let bench = try BrokerBench(seed: UInt64(step + 1)) {
      $0.flushPolicy = way.policy
      $0.topicDefaults.segmentBytes = 250
    }
    var client = try bench.client()
    try client.makeTopic("t", partitions: 2)
    let before = TransactionalPeer("tx", way.generation, client)
    try before.begin()
    try before.write(p0, "before")
    try before.commitOffset(p0, 1)
    try before.end(commit: true)
    let process = bench.process
    process.disk.onFault = { _ in process.kill() }
    process.disk.inject(DiskFault(operation, after: step, code: .inputOutput, isTorn: step % 2 == 0))
    var isAnswered = false
    do {
      try before.write(p0, "a", "b")
      try before.write(p1, "c")
      try before.commitOffset(p0, 2)
      isAnswered = try before.end(commit: way.isCommit) == .none
    } catch {
      // The connection has gone with the process.
      if process.isAlive { return (true, "\(error)") }
    }
    let struck = !process.isAlive
    process.disk.clearFaults()
    process.disk.onFault = nil
    if way.policy == .sync { try bench.losePowerAndRestart() } else { try bench.killAndRestart() }
    client = try bench.client()
    let after = TransactionalPeer("tx", way.generation, client)
    guard try after.begin() == .none else { return (struck, "the next producer was refused") }
    let first = try client.readCommitted(p0)
    let second = try client.readCommitted(p1)
    let offset = try client.committedOffset(p0)
    let isThere = first == ["before", "a", "b"] && second == ["c"] && offset == "2"
    let isGone = first == ["before"] && second == [] && offset == "1"
    if !isThere, !isGone { return (struck, "half of it: \(first) \(second) \(offset)") }
    if isThere, !way.isCommit { return (struck, "aborted and there") }
    if isAnswered, isThere != way.isCommit { return (struck, "answered, and not so") }
    try after.write(p1, "after")
    try after.end(commit: true)
    if try client.readCommitted(p1) != second + ["after"] { return (struck, "it does not go on") }
    return (struck, nil)
  }

  @Test(arguments: Generation.allCases, [FlushPolicy.os, .sync]) func aDeathBetweenAnyTwoSteps(
    generation: Generation, policy: FlushPolicy
  ) throws {
    var problems: [String] = []
    for isCommit in [true, false] {
      let way = Way(generation: generation, isCommit: isCommit, policy: policy)
      for operation in policy == .sync ? [DiskFault.Operation.write, .sync] : [.write] {
        var step = 0
        while true {
          let (struck, wrong) = try run(way, operation, at: step)
          if let wrong { problems.append("\(way), \(operation) \(step): \(wrong)") }
          if !struck { break }
          step += 1
        }
        // Adding, writing, deciding, marking, completing: fewer steps would mean that the fault missed them.
        #expect(step >= (operation == .sync ? 4 : 8), "\(way) \(operation)")
      }
    }
    #expect(problems.isEmpty, "\(problems.joined(separator: "\n"))")
  }
}
