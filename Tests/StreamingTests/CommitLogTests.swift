import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

@Suite struct CommitLogTests {
  private func entry(_ number: Int64) -> CommitLog.Entry {
    CommitLog.Entry(
      batch: BatchIdentity(number: BatchNumber(number), time: Timestamp(milliseconds: number * 500)), records: 18,
      ranges: [
        OffsetRange(TopicPartition("a-b.c_d", 0), from: Offset(number * 10), until: Offset(number * 10 + 10)),
        OffsetRange(TopicPartition("a-b.c_d", 11), from: 7, until: 7),
      ])
  }

  @Test func anEntryIsTextThatReadsBack() {
    let entry = entry(12)
    #expect(entry.text == "batch=12 time=6000 records=18 ranges=a-b.c_d-0:120-130,a-b.c_d-11:7-7")
    #expect(CommitLog.Entry(text: entry.text) == entry)
    #expect(CommitLog.Entry(text: "batch=1 time=2 records=0 ranges=")?.ranges.isEmpty == true)
  }

  @Test(arguments: [
    "", "batch=1", "batch=x time=2 records=0 ranges=", "batch=1 time=2 records=0 ranges=a:1-2",
    "batch=1 time=2 records=0 ranges=a-0:1", "batch=1 time=2 records=0 ranges=a-0:x-2",
  ]) func otherTextIsNoEntry(text: String) {
    #expect(CommitLog.Entry(text: text) == nil)
  }

  @Test func aReopenedLogGoesOnWhereItStopped() throws {
    let world = SimulatedWorld(seed: 1)
    let files = world.makeProcess(named: "job").world.files
    do {
      var log = try CommitLog(directory: "/state/job", files: files)
      #expect(log.last == nil)
      for number in 1...5 { try log.append(entry(Int64(number))) }
    }
    let log = try CommitLog(directory: "/state/job", files: files)
    #expect(log.last == entry(5).batch)
    #expect(log.entries == (1...5).map { entry($0) })
  }

  @Test func theLogStaysBounded() throws {
    let world = SimulatedWorld(seed: 1)
    let files = world.makeProcess(named: "job").world.files
    do {
      var log = try CommitLog(directory: "/state/job", files: files, entriesMax: 100)
      for number in 1...1000 { try log.append(entry(Int64(number))) }
    }
    let log = try CommitLog(directory: "/state/job", files: files, entriesMax: 100)
    #expect(log.last == entry(1000).batch)
    #expect(log.entries.count <= 100)
    #expect(log.entries.last == entry(1000))
  }
}
