import Datasets
import Groundwork
import Testing

@testable import Streaming

/// What a start makes of what it finds.
@Suite struct RecoveryDecisionTests {
  private func record(_ number: Int64, _ from: Int64, _ until: Int64, source: String = "topics t") -> BatchRecord {
    BatchRecord(
      batch: BatchIdentity(number: BatchNumber(number), time: Timestamp(milliseconds: number * 1000)),
      previousTime: nil, interval: .seconds(1), records: Int(until - from),
      sources: [
        SourceRecord(
          name: source,
          plan: SourcePlan(
            ranges: [OffsetRange(TopicPartition("t", 0), from: Offset(from), until: Offset(until))],
            records: Int(until - from)))
      ])
  }

  @Test func nothingIsAFirstRun() throws {
    let decision = try RecoveryDecision(commits: [], plans: [])
    #expect(decision.last == nil && decision.replay.isEmpty && decision.dropped.isEmpty)
    #expect(decision.numberFloor == 0 && decision.timeFloor == nil)
  }

  @Test func whatIsDecidedIsNotRunAgain() throws {
    let decision = try RecoveryDecision(
      commits: [record(1, 0, 5), record(2, 5, 9)], plans: [record(1, 0, 5), record(2, 5, 9)])
    #expect(decision.last == record(2, 5, 9))
    #expect(decision.replay.isEmpty && decision.dropped.isEmpty)
    #expect(decision.numberFloor == 2 && decision.timeFloor == Timestamp(milliseconds: 2000))
  }

  @Test func plansBehindTheLastDecisionRunAgainInOrder() throws {
    let decision = try RecoveryDecision(
      commits: [record(1, 0, 5)], plans: [record(1, 0, 5), record(2, 5, 9), record(3, 9, 9)])
    #expect(decision.replay == [record(2, 5, 9), record(3, 9, 9)])
    #expect(decision.numberFloor == 3)
  }

  @Test func aFirstBatchThatWasNotDecidedRunsAgain() throws {
    let decision = try RecoveryDecision(commits: [], plans: [record(1, 3, 5)])
    #expect(decision.last == nil)
    #expect(decision.replay == [record(1, 3, 5)])
  }

  @Test func aPlanThatDoesNotFollowIsDroppedWithAllBehindIt() throws {
    let decision = try RecoveryDecision(
      commits: [record(1, 0, 5)], plans: [record(4, 8, 9), record(5, 9, 12)])
    #expect(decision.replay.isEmpty)
    #expect(decision.dropped == [record(4, 8, 9), record(5, 9, 12)])
    // Nobody may see another batch under their numbers or times.
    #expect(decision.numberFloor == 5 && decision.timeFloor == Timestamp(milliseconds: 5000))
  }

  /// A batch that was planned while the one before it was being committed, and that one did not happen.
  @Test func aPlanTakesThePlaceOfThoseBeforeItWithItsNumberOrAGreaterOne() throws {
    let decision = try RecoveryDecision(
      commits: [record(1, 0, 5)],
      plans: [
        record(1, 0, 5), record(2, 5, 9), record(3, 9, 20), prepared(2, 5, 9, note: ""), record(3, 9, 12),
        record(4, 12, 13), record(3, 9, 14),
      ])
    #expect(decision.replay == [record(2, 5, 9), record(3, 9, 14)] && decision.dropped.isEmpty)
    #expect(decision.numberFloor == 3)
  }

  private func prepared(_ number: Int64, _ from: Int64, _ until: Int64, note: String) -> BatchRecord {
    var record = record(number, from, until)
    record.outcome = .prepared
    record.notes = [BatchNote(key: "state", text: note)]
    return record
  }

  /// A decider decides without the commit log, which is written behind it and not synced.
  @Test func whatAPowerLossTookOfTheCommitLogIsTakenFromWhatWasPrepared() throws {
    let plans = [
      record(2, 5, 9), prepared(2, 5, 9, note: "b"), record(3, 9, 9), record(4, 9, 12), prepared(4, 9, 12, note: "c"),
      prepared(4, 9, 12, note: "d"), record(5, 12, 14), prepared(5, 12, 14, note: "e"), record(6, 14, 20),
    ]
    let decision = try RecoveryDecision(
      commits: [record(1, 0, 5)], plans: plans, decided: Decision(batch: 5, record: Bytes()))
    #expect(decision.missed.map(\.batch.number) == [2, 3, 4])
    // A batch that moved nothing left everything as it was; of one that was prepared twice the last counts.
    #expect(decision.missed.map { $0.note("state") } == ["b", "b", "d"])
    #expect(decision.missed.allSatisfy { $0.outcome == .committed })
    #expect(decision.last?.note("state") == "e" && decision.lost == nil)
    #expect(decision.replay == [record(6, 14, 20)])
    // With a hole in it nothing is made up.
    let holed = try RecoveryDecision(
      commits: [record(1, 0, 5)], plans: Array(plans.dropFirst(2)), decided: Decision(batch: 5, record: Bytes()))
    #expect(holed.missed.isEmpty && holed.last?.note("state") == "e")
    let lost = try RecoveryDecision(
      commits: [record(1, 0, 5)], plans: [record(2, 5, 9)], decided: Decision(batch: 5, record: Bytes()))
    #expect(lost.lost == 5 && lost.last == record(1, 0, 5) && lost.replay.isEmpty)
  }

  /// Without a record the decider's word alone says how far time has come.
  @Test func timeGoesOnBehindTheDecision() throws {
    let decided = Decision(batch: 5, record: Bytes(), time: Timestamp(milliseconds: 5000))
    #expect(try RecoveryDecision(commits: [], plans: [], decided: decided).timeFloor == Timestamp(milliseconds: 5000))
    let older = try RecoveryDecision(commits: [record(6, 0, 5)], plans: [], decided: decided)
    #expect(older.timeFloor == Timestamp(milliseconds: 6000))
  }

  @Test func aNewSourceMayBeginAnywhere() throws {
    let decision = try RecoveryDecision(commits: [record(1, 0, 5)], plans: [record(2, 70, 75, source: "topics u")])
    #expect(decision.replay == [record(2, 70, 75, source: "topics u")])
  }

  @Test func policiesAreReadAndWrongOnesNamed() throws {
    let key = "sluice.streaming.onBatchFailure"
    #expect(try FailurePolicy { _ in nil } == .stop)
    #expect(try FailurePolicy { [key: "skip"][$0] } == .skip)
    let retry = try FailurePolicy { [key: "retry", "\(key).backoff": "5s"][$0] }
    #expect(retry == .retry(backoff: .seconds(5)))
    #expect((1...6).map { retry.wait(after: $0) } == [5, 10, 20, 40, 60, 60].map { .seconds($0) })
    #expect(FailurePolicy.stop.wait(after: 1) == nil)
    let error = #expect(throws: StreamingError.self) { try FailurePolicy { [key: "explode"][$0] } }
    #expect(error?.description == "\(key): `explode` is not known; choose stop, retry or skip")
  }
}
