import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// The log of batches in its folder.
@Suite struct BatchJournalTests {
  private let files = SimulatedWorld(seed: 1).makeProcess(named: "job").world.files

  @Test func aReopenedLogKnowsItsLastRecord() throws {
    do {
      let log = try BatchJournal(directory: "/state/commits", files: files)
      #expect(log.recent.isEmpty)
      for number in 1...5 { try log.append(BatchRecordTests.record(Int64(number)), sync: false) }
    }
    #expect(
      try BatchJournal(directory: "/state/commits", files: files).recent == (1...5).map { BatchRecordTests.record($0) })
  }

  @Test func theLogAndItsOpeningStayBounded() throws {
    do {
      let log = try BatchJournal(directory: "/state/commits", files: files, segmentEntries: 10)
      for number in 1...1003 { try log.append(BatchRecordTests.record(Int64(number)), sync: false) }
    }
    #expect(try files.list("/state/commits").count == BatchJournal.segmentsKept + 1)
    let log = try BatchJournal(directory: "/state/commits", files: files, segmentEntries: 10)
    // The newest journal holds three, so that those before it are read as far as it takes.
    #expect(log.recent == (981...1003).map { BatchRecordTests.record($0) })
    let all = try BatchJournal.records(in: "/state/commits", files)
    #expect(all.count == 10 * BatchJournal.segmentsKept + 3)
    #expect(all.last == BatchRecordTests.record(1003))
  }

  @Test func aTornFirstEntryOfAJournalLeavesTheOneBefore() throws {
    do {
      let log = try BatchJournal(directory: "/state/commits", files: files, segmentEntries: 2)
      for number in 1...3 { try log.append(BatchRecordTests.record(Int64(number)), sync: false) }
    }
    let newest = try #require(try files.list("/state/commits").last)
    try files.open("/state/commits/\(newest)", .readWrite).truncate(to: 9)
    let log = try BatchJournal(directory: "/state/commits", files: files, segmentEntries: 2)
    #expect(log.cutBytes == 9)
    #expect(log.recent.last == BatchRecordTests.record(2))
    try log.append(BatchRecordTests.record(3), sync: true)
    #expect(
      try BatchJournal.records(in: "/state/commits", files) == (1...3).map { BatchRecordTests.record($0) })
  }

  /// What a start has gone by does not go when the power does: neither an entry that its writer died before syncing, nor a
  /// file whose name its maker died before syncing.
  @Test func whatWasFoundAtTheOpeningStays() throws {
    for seed in 0..<40 as Range<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      func reopened() throws -> BatchJournal {
        try BatchJournal(directory: "/state/commits", files: simulation.makeProcess(named: "job").world.files)
      }
      simulation.disk.inject(DiskFault(.sync, code: .inputOutput))
      #expect(throws: StreamingError.self) { try reopened().append(BatchRecordTests.record(1), sync: true) }
      // The first run's file is there and empty, and its name may still be lost.
      try reopened().append(BatchRecordTests.record(1), sync: true)
      simulation.losePower()
      try reopened().append(BatchRecordTests.record(2), sync: false)
      #expect(try reopened().recent.map(\.batch.number) == [1, 2], "seed \(seed)")
      simulation.losePower()
      #expect(try reopened().recent.map(\.batch.number) == [1, 2], "seed \(seed)")
    }
  }
}
