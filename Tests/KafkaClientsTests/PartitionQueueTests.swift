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
    #expect(queue.expired(now: now) == [])
    #expect(queue.expired(now: later) == [0, 1] && !queue.needsIdentity)
    queue = self.queue(2)
    _ = queue.sent()
    #expect(queue.expired(now: later) == [1] && !queue.needsIdentity)
  }

  @Test func aBatchThatWasSentAndExpiresNeedsAnotherEpochWhereNobodyBehindItKnows() {
    var queue = queue(1)
    queue.adopt(ProducerIdentity(id: 7, epoch: 0))
    #expect(queue.sent() == 0)
    queue.lost(0, now: now, unit: 0.5)
    #expect(queue.expired(now: later) == [0])
    queue.added(1, span: 5, deadline: later + .seconds(60))
    #expect(!queue.hasSendable(at: later) && queue.needsIdentity)
    queue.adopt(ProducerIdentity(id: 7, epoch: 1))
    #expect(queue.hasSendable(at: later) && !queue.needsIdentity)
    #expect(queue.sent() == 0)
  }

  @Test(arguments: [true, false]) func theBatchBehindAnExpiredOneTellsWhetherItWasWritten(wasWritten: Bool) {
    var queue = queue(1)
    let past = later + .seconds(1)
    queue.added(1, span: 10, deadline: later + .seconds(60))
    queue.added(2, span: 10, deadline: later + .seconds(60))
    queue.adopt(ProducerIdentity(id: 7, epoch: 0))
    #expect(queue.sent() == 0)
    #expect(queue.sent() == 10)
    queue.lost(0, now: now, unit: 0.5)
    queue.lost(1, now: now, unit: 0.5)
    #expect(queue.expired(now: past) == [0])
    // What was sent is sent again, what was not waits for it.
    #expect(queue.next == 1 && queue.sent() == 10)
    #expect(!queue.hasSendable(at: past))
    if wasWritten {
      #expect(queue.answered(1, .none, now: past, unit: 0.5) == .delivered)
      #expect(!queue.needsIdentity && queue.sent() == 20)
    } else {
      #expect(queue.answered(1, .outOfOrderSequenceNumber, now: past, unit: 0.5) == .retried)
      #expect(queue.needsIdentity)
      queue.adopt(ProducerIdentity(id: 7, epoch: 1))
      #expect(queue.next == 1 && queue.sent() == 0)
      #expect(queue.answered(1, .none, now: past, unit: 0.5) == .delivered)
      #expect(queue.sent() == 10)
    }
  }

  @Test func anotherIdentityWaitsForWhatIsOpen() {
    var queue = queue(3)
    queue.adopt(ProducerIdentity(id: 7, epoch: 0))
    #expect(queue.sent() == 0)
    queue.adopt(ProducerIdentity(id: 7, epoch: 1))
    #expect(!queue.hasSendable(at: now) && queue.identity?.epoch == 0)
    #expect(queue.answered(0, .none, now: now, unit: 0.5) == .delivered)
    queue.adopt(ProducerIdentity(id: 7, epoch: 1))
    #expect(queue.hasSendable(at: now) && queue.sent() == 0 && queue.identity?.epoch == 1)
  }

  @Test func piecesTakeTheNumbersOfTheWhole() {
    var queue = queue(2)
    #expect(queue.sent() == 0)
    #expect(queue.sent() == 10)
    queue.replaced(0, by: [(10, 4), (11, 6)])
    #expect(!queue.hasSendable(at: later))
    #expect(queue.answered(1, .outOfOrderSequenceNumber, now: now, unit: 0.5) == .retried)
    #expect(queue.ids == [10, 11, 1])
    var sequences: [Int32] = []
    while queue.hasSendable(at: later) { sequences.append(queue.sent()) }
    #expect(sequences == [0, 4, 10])
  }

  @Test func whatWasNeverSentIsDroppedFirst() {
    var queue = queue(3)
    _ = queue.sent()
    #expect(queue.dropped(evenSent: false) == [1, 2])
    #expect(queue.answered(0, .none, now: now, unit: 0.5) == .delivered)
    queue = self.queue(3)
    _ = queue.sent()
    #expect(queue.dropped(evenSent: true) == [0, 1, 2])
    queue.added(5, span: 1, deadline: later)
    #expect(queue.hasSendable(at: now))
  }

  @Test func sequencesGoRoundFromTheLargestToZero() {
    #expect(PartitionQueue.sequence(.max, plus: 1) == 0)
    #expect(PartitionQueue.sequence(.max - 1, plus: 5) == 3)
    #expect(PartitionQueue.sequence(7, plus: 5) == 12)
  }
}
