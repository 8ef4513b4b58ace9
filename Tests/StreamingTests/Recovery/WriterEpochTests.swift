import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// Two writers of one checkpoint folder, the lock of which was lost.
@Suite struct WriterEpochTests {
  private func record(_ number: Int64) -> BatchRecord {
    BatchRecord(
      batch: BatchIdentity(number: BatchNumber(number), time: Timestamp(milliseconds: number)), previousTime: nil,
      interval: .seconds(1), records: 0, sources: [])
  }

  @Test func whoWasTakenOverFromWritesNothingMore() throws {
    let simulation = SimulatedWorld(seed: 1)
    let files = simulation.makeProcess(named: "first").world.files
    let first = try Checkpoint(directory: "/state", files: files, jobName: "job", sync: .commits)
    _ = try first.settle(nil, of: nil)
    try first.planned(record(1))
    // While the lock is there nobody comes past it.
    #expect(throws: StreamingError.self) {
      try Checkpoint(
        directory: "/state", files: simulation.makeProcess(named: "early").world.files, jobName: "job", sync: .commits)
    }
    try first.decided(record(1))
    try files.removeFile("/state/lock")
    let second = try Checkpoint(
      directory: "/state", files: simulation.makeProcess(named: "second").world.files, jobName: "job", sync: .commits)
    #expect(try second.settle(nil, of: nil).last?.batch.number == 1)
    try second.planned(record(2))
    let calls: [(Checkpoint) throws -> Void] = [
      { try $0.planned(record(2)) }, { try $0.prepared(record(2), isNeeded: true) }, { try $0.noted(record(2)) },
      { try $0.decided(record(2)) }, { try $0.passedOver(record(2), reason: "it failed") },
      { _ = try $0.settle(nil, of: nil) },
    ]
    for call in calls {
      let error = #expect(throws: StreamingError.self) { try call(first) }
      #expect(
        error.map { "\($0)" }
          == "another instance of the job has taken over the checkpoint folder /state: this one stops, and what it was "
          + "doing does not count")
    }
    try second.decided(record(2))
    #expect(try BatchJournal.records(in: "/state/commits", files).map(\.batch.number) == [1, 2])
    #expect(try BatchJournal.records(in: "/state/plans", files).map(\.batch.number) == [1, 2])
  }
}
