import Groundwork
import KafkaProtocol
import Testing

@testable import KafkaClients

@Suite struct PartitionQueueTests {
  private let now = Instant(nanoseconds: 0)
  private let later = Instant(nanoseconds: 60_000_000_000)

  private func queue(_ batches: UInt64, span: Int32 = 10, isIdempotent: Bool = true) -> PartitionQueue {
    var queue = PartitionQueue(
      isIdempotent: isIdempotent, inFlightMax: 5, backoff: Backoff(base: .milliseconds(100), max: .seconds(1)))
    for id in 0..<batches { queue.added(id, span: span, deadline: later) }
    return queue
  }

  @Test func fiveGoOutInSequence() {
    var queue = queue(7)
    var sequences: [Int32] = []
    while queue.hasSendable(at: now) { sequences.append(queue.sent()) }
    #expect(sequences == [0, 10, 20, 30, 40])
    #expect(queue.answered(0, .none, now: now, unit: 0.5) == .delivered)
    #expect(queue.next == 5 && queue.hasSendable(at: now))
  }

  @Test func withoutSequencesOneGoesOutAtATime() {
    var queue = queue(3, isIdempotent: false)
    #expect(queue.sent() == -1)
    #expect(!queue.hasSendable(at: now))
  }

  @Test func afterAFailureAllAnswersAreAwaitedAndTheFirstGoesFirst() {
    var queue = queue(3)
    while queue.hasSendable(at: now) { _ = queue.sent() }
    #expect(queue.answered(0, .notLeaderOrFollower, now: now, unit: 0.5) == .retried)
    #expect(!queue.hasSendable(at: later))
    #expect(queue.answered(1, .outOfOrderSequenceNumber, now: now, unit: 0.5) == .retried)
    queue.lost(2, now: now, unit: 0.5)
    #expect(!queue.hasSendable(at: now))
    let retry = queue.retryAt!
    #expect(queue.hasSendable(at: retry) && queue.next == 0)
    #expect(queue.sent() == 0)
    #expect(queue.sent() == 10)
    #expect(queue.answered(0, .duplicateSequenceNumber, now: now, unit: 0.5) == .delivered)
  }

  @Test func aRefusedBatchLeavesItsNumbersToThoseBehind() {
    var queue = queue(4)
    while queue.hasSendable(at: now) { _ = queue.sent() }
    #expect(queue.answered(0, .none, now: now, unit: 0.5) == .delivered)
    #expect(queue.answered(1, .messageTooLarge, now: now, unit: 0.5) == .refused)
    #expect(queue.answered(2, .outOfOrderSequenceNumber, now: now, unit: 0.5) == .retried)
    #expect(queue.answered(3, .outOfOrderSequenceNumber, now: now, unit: 0.5) == .retried)
    queue.added(9, span: 1, deadline: later)
    #expect(queue.hasSendable(at: later) && queue.next == 2)
    #expect(queue.sent() == 10)
    #expect(queue.sent() == 20)
    #expect(queue.sent() == 30)
  }

  @Test func aGapThatNobodyHereCausedIsALoss() {
    var queue = queue(2)
    while queue.hasSendable(at: now) { _ = queue.sent() }
    #expect(queue.answered(0, .outOfOrderSequenceNumber, now: now, unit: 0.5) == .sequenceLost)
    var other = self.queue(1)
    _ = other.sent()
    #expect(other.answered(0, .unknownProducerID, now: now, unit: 0.5) == .sequenceLost)
    var fenced = self.queue(1)
    _ = fenced.sent()
    #expect(fenced.answered(0, .invalidProducerEpoch, now: now, unit: 0.5) == .sequenceLost)
  }

  @Test func whatNeverLeftExpiresWithoutHarm() {
    var queue = queue(2)
    #expect(queue.expired(now: now).ids == [])
    var result = queue.expired(now: later)
    #expect(result.ids == [0, 1] && !result.mayHaveBeenWritten)
    queue = self.queue(2)
    _ = queue.sent()
    result = queue.expired(now: later)
    #expect(result.ids == [1] && !result.mayHaveBeenWritten)
    queue.lost(0, now: later, unit: 0.5)
    result = queue.expired(now: later)
    #expect(result.ids == [0] && result.mayHaveBeenWritten)
  }

  @Test func sequencesGoRoundFromTheLargestToZero() {
    #expect(PartitionQueue.sequence(.max, plus: 1) == 0)
    #expect(PartitionQueue.sequence(.max - 1, plus: 5) == 3)
    #expect(PartitionQueue.sequence(7, plus: 5) == 12)
  }
}
