import Groundwork
import KafkaStreaming
import Simulation
import Testing

@testable import Streaming

/// A batch with input of which nothing is left for the decider's outputs is decided by it all the same: how far the job has
/// come stands in the decider, whatever becomes of the commit log.
@Suite struct EmptyShareTests {
  @Test(arguments: [ExactOutput.topic, .files, .table])
  func theDeciderKnowsABatchWithoutOutput(output: ExactOutput) throws {
    let path = try PathHarness()
    defer { path.simulation.end() }
    let database = try ExactWorld.makeFolder()
    defer { ExactWorld.removeFolder(database) }
    try path.createTopic("in", partitions: ExactDefinition.partitions)
    let disk = path.simulation.makeDisk(named: "disk of the job")
    let definition = ExactDefinition([output])
    // Of the records 0 to 7 the first output takes none.
    #expect((0..<8).allSatisfy { !definition.takes($0, at: 0) } && definition.takes(8, at: 0))
    func job() throws -> PathJob {
      try PathJob(path, settings: definition.allSettings, checkpoint: "/checkpoint", disk: disk) { context in
        definition.define(context, database: database)
      }
    }
    let first = try job()
    try first.start()
    for round in 0..<2 {
      try path.produce("in", partitions: 2, values: (0..<4).map { "\(round * 4 + $0)" })
      let count = first.batches.count
      try path.simulation.run { first.batches.dropFirst(count).contains { $0.numRecords > 0 } }
    }
    first.process.kill()
    #expect(first.batches.filter { $0.numRecords > 0 }.map(\.number) == [1, 2])
    let files = path.simulation.makeProcess(named: "vandal", on: disk).world.files
    for name in try files.list("/checkpoint/commits") { try files.removeFile("/checkpoint/commits/\(name)") }
    let second = try job()
    try second.start()
    try path.simulation.run { second.batches.count > 0 }
    try path.produce("in", partitions: 2, values: ["8", "9"])
    try second.advance(3)
    try second.stop()
    #expect(second.log.contains { $0.hasPrefix("going on after batch 2") }, "\(second.log)")
    #expect(second.batches.map(\.numRecords).filter { $0 > 0 } == [2])
    #expect(second.batches.filter { $0.numRecords > 0 }.allSatisfy { $0.number.rawValue > 2 })
  }
}
