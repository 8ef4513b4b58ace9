import Datasets
import Groundwork
import Testing

@testable import Streaming

/// The text of the logs.
@Suite struct BatchRecordTests {
  static func record(_ number: Int64, outcome: BatchRecord.Outcome? = .committed) -> BatchRecord {
    var record = BatchRecord(
      batch: BatchIdentity(number: BatchNumber(number), time: Timestamp(milliseconds: number * 500)),
      previousTime: number == 1 ? nil : Timestamp(milliseconds: number * 500 - 500), interval: .milliseconds(500),
      records: 18, outcome: outcome,
      sources: [
        SourceRecord(
          name: "topics a-b.c_d",
          plan: SourcePlan(
            ranges: [
              OffsetRange(
                TopicPartition("a-b.c_d", 0), from: Offset(number * 10), until: Offset(number * 10 + 10)),
              OffsetRange(TopicPartition("a-b.c_d", 11), from: 7, until: 7),
            ], records: 10, bytes: 2048, limitReason: "a limit")),
        SourceRecord(name: "files", plan: SourcePlan(records: 8, details: ["/a file\nwith 100% odd name", ""])),
      ],
      notes: [BatchNote(key: "state", text: "version=12\nkeys=3"), BatchNote(key: "rate: x", text: "")])
    record.sources[0].plan.contents = [RangeContent(records: 10, hash: 0xFEDC_BA98_7654_3210), RangeContent()]
    return record
  }

  @Test func aRecordIsTextThatReadsBack() {
    for record in [Self.record(1), Self.record(12), Self.record(3, outcome: nil), Self.record(9, outcome: .skipped)] {
      #expect(BatchRecord(text: record.text) == record)
    }
  }

  @Test func thePersonWhoReadsItFindsALineForEachItem() {
    #expect(
      Self.record(12).text == """
        batch 12 time=6000 previous=5500 interval=500 records=18 outcome=committed
        source topics a-b.c_d
        input records=10 bytes=2048
        range a-b.c_d-0 120 130 records=10 hash=fedcba9876543210
        range a-b.c_d-11 7 7 records=0 hash=0
        limit a limit
        source files
        input records=8 bytes=0
        detail /a file%0Awith 100%25 odd name
        detail 
        note rate%3A x: 
        note state: version=12%0Akeys=3
        """)
  }

  @Test(arguments: [
    "", "batch", "batch x time=1 interval=1 records=1", "batch 1 time=1 interval=1",
    "batch 1 time=1 interval=1 records=z",
    "batch 1 time=1 interval=1 records=0 outcome=perhaps", "batch 1 time=1 interval=1 records=0\nrange a-0 1 2",
    "batch 1 time=1 interval=1 records=0\nsource a\nrange a-0 2 1",
    "batch 1 time=1 interval=1 records=0\nsource a\nrange a 1 2",
    "batch 1 time=1 interval=1 records=0\nsource a\nrange a-0 1 2 records=1",
    "batch 1 time=1 interval=1 records=0\nsource a\nrange a-0 1 2\nrange a-1 1 2 records=1 hash=1",
    "batch 1 time=1 interval=1 records=0\nsource a\nwhatever 1", "batch 1 time=1 interval=1 records=0\nnote a",
  ]) func otherTextIsNoRecord(text: String) {
    #expect(BatchRecord(text: text) == nil)
  }

  @Test func aJobsDescriptionReadsBack() {
    let description = JobDescription(
      job: "my job 100%", interval: .milliseconds(250), sources: ["topics a,b"],
      operators: [
        JobDescription.Operator(name: "sessions of users", label: "mapWithState", isDerived: false),
        JobDescription.Operator(name: "map-1", label: "map", isDerived: true),
      ], outputs: ["saveToTopic-1"])
    #expect(JobDescription(text: description.text) == description)
    #expect(JobDescription(text: "something else") == nil)
  }
}
