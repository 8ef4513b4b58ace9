import Groundwork
import KafkaProtocol
import SystemInterfaces
import Testing

@testable import KafkaClients

/// The machine as a transcript: event, expected actions, event, …
@Suite struct TransactionMachineTests {
  private let first = ProducerIdentity(id: 7, epoch: 0)
  private let t0 = TopicPartition("t", 0)
  private let t1 = TopicPartition("t", 1)
  private let group = GroupMetadata("g")
  private let lost = TransactionMachine.Answer.lost(
    ClientError(.timedOut(.endTxn, Address(host: "kafka", port: 9092), after: .seconds(30))))

  private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: 0) + .milliseconds(milliseconds) }
  private var offsets: TransactionMachine.GroupOffsets { .init(group: group, offsets: [t0: OffsetAndMetadata(5)]) }

  private func machine() -> TransactionMachine {
    TransactionMachine(
      transactionalID: "job", timeout: .seconds(120), backoff: Backoff(base: .milliseconds(100), max: .seconds(1)),
      quickBackoff: Backoff(base: .microseconds(500), max: .milliseconds(100)))
  }

  /// A machine with its first identity.
  private func ready(implicit: Bool, canBump: Bool = true) -> TransactionMachine {
    var machine = machine()
    #expect(machine.initRequested(1, now: at(0)) == [.send(1, .initProducerID(current: nil))])
    machine.negotiated(addsImplicitly: implicit, canBump: canBump)
    #expect(machine.answered(1, .done(first), now: at(1), unit: 0.5) == [.finish(1, nil)])
    #expect(machine.state == .ready && machine.identity == first)
    return machine
  }

  /// A machine with partition t-0 in its open transaction; the next call is number 3, or 2 with implicit adding.
  private func open(implicit: Bool, canBump: Bool = true) -> TransactionMachine {
    var machine = ready(implicit: implicit, canBump: canBump)
    #expect(machine.begun() == nil)
    if implicit {
      #expect(machine.partitionsTouched([t0], now: at(2)) == [])
    } else {
      #expect(machine.partitionsTouched([t0], now: at(2)) == [.send(2, .addPartitions([t0]))])
      #expect(machine.answered(2, .done(nil), now: at(3), unit: 0.5) == [])
    }
    #expect(machine.maySend(t0))
    return machine
  }

  private func error(_ action: TransactionMachine.Action?) -> ClientError.Code? {
    guard case .finish(_, let error) = action else { return nil }
    return error?.code
  }

  @Test func aPredecessorsEndIsAwaitedInSmallSteps() {
    var machine = machine()
    _ = machine.initRequested(1, now: at(0))
    var now = at(0)
    var pauses: [Int64] = []
    for call in 1...10 {
      let id = TransactionMachine.CallID(call)
      #expect(machine.answered(id, .refused(.concurrentTransactions, "init"), now: now, unit: 0.5) == [])
      let next = machine.nextDeadline(after: now)!
      pauses.append(Int64((next - now).inSeconds * 1e6 + 0.5))
      now = next
      #expect(machine.timePassed(now: now) == [.send(id + 1, .initProducerID(current: nil))])
    }
    #expect(pauses == [500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 100_000, 100_000])
    #expect(machine.answered(11, .done(first), now: now, unit: 0.5) == [.finish(1, nil)])
  }

  @Test func gettingAnIdentityHasATimeAndMayBeTriedAgain() {
    var machine = machine()
    _ = machine.initRequested(1, now: at(0))
    _ = machine.answered(1, .refused(.coordinatorLoadInProgress, "init"), now: at(0), unit: 0.5)
    let actions = machine.timePassed(now: at(120_000))
    guard case .transactionTimedOut(_, "getting a producer id", _, _) = error(actions.first) else {
      Issue.record("\(actions)")
      return
    }
    #expect(machine.state == .uninitialized)
    #expect(machine.initRequested(2, now: at(130_000)) == [.send(2, .initProducerID(current: nil))])
    // The answer to the first attempt is nobody's any more.
    #expect(machine.answered(1, .done(first), now: at(130_001), unit: 0.5) == [])
    #expect(machine.answered(2, .done(first), now: at(130_002), unit: 0.5) == [.finish(2, nil)])
  }

  @Test func partitionsOffsetsCommitBeforeKafka4() {
    var machine = ready(implicit: false)
    #expect(machine.begun() == nil)
    #expect(machine.partitionsTouched([t1, t0], now: at(2)) == [.send(2, .addPartitions([t0, t1]))])
    #expect(!machine.maySend(t0))
    #expect(machine.offsetsGiven(5, offsets, now: at(2)) == [])
    #expect(machine.answered(2, .done(nil), now: at(3), unit: 0.5) == [.send(3, .addOffsets(group: "g"))])
    #expect(machine.maySend(t0) && machine.maySend(t1))
    #expect(machine.endRequested(6, commits: true, now: at(3)) == [])
    #expect(machine.answered(3, .done(nil), now: at(4), unit: 0.5) == [.send(4, .commitOffsets(offsets))])
    #expect(machine.batchesCounted(hasOpen: false, now: at(4)) == [])
    #expect(
      machine.answered(4, .done(nil), now: at(5), unit: 0.5) == [
        .finish(5, nil), .send(5, .endTransaction(commits: true)),
      ])
    #expect(machine.answered(5, .done(nil), now: at(6), unit: 0.5) == [.finish(6, nil)])
    #expect(machine.state == .ready && machine.identity == first && !machine.maySend(t0))
  }

  @Test func noAddingAndANewEpochFromKafka4() {
    var machine = ready(implicit: true)
    #expect(machine.begun() == nil)
    #expect(machine.partitionsTouched([t0, t1], now: at(2)) == [])
    #expect(machine.maySend(t0) && machine.maySend(t1))
    #expect(machine.offsetsGiven(5, offsets, now: at(2)) == [.send(2, .commitOffsets(offsets))])
    #expect(machine.endRequested(6, commits: true, now: at(3)) == [])
    #expect(machine.answered(2, .done(nil), now: at(4), unit: 0.5) == [.finish(5, nil)])
    #expect(machine.batchesCounted(hasOpen: false, now: at(5)) == [.send(3, .endTransaction(commits: true))])
    let next = ProducerIdentity(id: 9, epoch: 0)
    #expect(machine.answered(3, .done(next), now: at(6), unit: 0.5) == [.finish(6, nil)])
    #expect(machine.identity == next)
  }

  @Test(arguments: [false, true]) func anEmptyTransactionAsksNobody(commits: Bool) {
    var machine = ready(implicit: true)
    for ticket in UInt64(5)...6 {
      #expect(machine.begun() == nil)
      var actions = machine.endRequested(ticket, commits: commits, now: at(2))
      actions += machine.batchesCounted(hasOpen: false, now: at(2))
      #expect(actions.last == .finish(ticket, nil))
      #expect(!actions.contains { if case .send = $0 { true } else { false } })
    }
    #expect(machine.identity == first)
  }

  @Test func aLostCommitIsAskedForAgain() {
    var machine = open(implicit: true)
    _ = machine.endRequested(6, commits: true, now: at(3))
    #expect(machine.batchesCounted(hasOpen: false, now: at(4)) == [.send(2, .endTransaction(commits: true))])
    #expect(machine.answered(2, lost, now: at(5), unit: 0.5) == [])
    let retry = machine.nextDeadline(after: at(5))!
    #expect(machine.timePassed(now: retry) == [.send(3, .endTransaction(commits: true))])
    let next = ProducerIdentity(id: 7, epoch: 1)
    #expect(machine.answered(3, .done(next), now: retry, unit: 0.5) == [.finish(6, nil)])
  }

  /// The pause before offsets are sent again is over when they are not wanted any more.
  @Test func aPauseThatNobodyWaitsForHidesNoOther() {
    var machine = open(implicit: true)
    #expect(machine.offsetsGiven(5, offsets, now: at(2)) == [.send(2, .commitOffsets(offsets))])
    _ = machine.endRequested(6, commits: true, now: at(3))
    _ = machine.answered(2, lost, now: at(4), unit: 0.5)
    let over = machine.nextDeadline(after: at(4))!
    _ = machine.batchFailed(.invalidProducerEpoch, "writing", now: at(5))
    let abort = machine.endRequested(7, commits: false, now: at(5))
    #expect(abort.last == .send(3, .endTransaction(commits: false)))
    let late = over + .seconds(1)
    _ = machine.timePassed(now: late)
    _ = machine.answered(3, lost, now: late, unit: 0.5)
    guard let retry = machine.nextDeadline(after: late) else {
      Issue.record("the abort is not tried again")
      return
    }
    #expect(retry > late && retry < late + .seconds(10))
    #expect(machine.timePassed(now: retry) == [.send(4, .endTransaction(commits: false))])
  }

  @Test func whoIsFencedBeforeTheAnswerDoesNotKnow() {
    var machine = open(implicit: true)
    _ = machine.endRequested(6, commits: true, now: at(3))
    _ = machine.batchesCounted(hasOpen: false, now: at(4))
    _ = machine.answered(2, lost, now: at(5), unit: 0.5)
    _ = machine.timePassed(now: machine.nextDeadline(after: at(5))!)
    let actions = machine.answered(3, .refused(.producerFenced, "end"), now: at(300), unit: 0.5)
    guard case .transactionOutcomeUnknown("job", true, _) = error(actions.first), actions.count == 2 else {
      Issue.record("\(actions)")
      return
    }
    // A commit that nothing of was lost is known not to have happened.
    var other = open(implicit: true)
    _ = other.endRequested(6, commits: true, now: at(3))
    _ = other.batchesCounted(hasOpen: false, now: at(4))
    #expect(
      error(other.answered(2, .refused(.producerFenced, "end"), now: at(5), unit: 0.5).first)
        == .producerFenced("job", .producerFenced))
    #expect(other.begun()?.code == .producerFenced("job", .producerFenced))
    #expect(error(other.endRequested(8, commits: false, now: at(6)).first) == .producerFenced("job", .producerFenced))
  }

  @Test func aRefusedCommitMayHaveBeenDecidedAllTheSame() {
    let cases: [(KafkaErrorCode, Bool)] = [
      (.coordinatorNotAvailable, true), (.concurrentTransactions, true), (.coordinatorLoadInProgress, false),
    ]
    for (code, mayBe) in cases {
      var machine = open(implicit: true)
      _ = machine.endRequested(6, commits: true, now: at(3))
      _ = machine.batchesCounted(hasOpen: false, now: at(4))
      _ = machine.answered(2, .refused(code, "end"), now: at(5), unit: 0.5)
      _ = machine.timePassed(now: machine.nextDeadline(after: at(5))!)
      let told = error(machine.answered(3, .refused(.producerFenced, "end"), now: at(300), unit: 0.5).first)
      if mayBe {
        #expect(told == .transactionOutcomeUnknown("job", isFinal: true, last: machine.lastProblem))
      } else {
        #expect(told == .producerFenced("job", .producerFenced))
      }
    }
  }

  @Test func aCommitWhoseTimeIsUpGoesOnWhenAskedAgain() {
    for answersMeanwhile in [false, true] {
      var machine = open(implicit: true)
      _ = machine.endRequested(6, commits: true, now: at(3))
      _ = machine.batchesCounted(hasOpen: false, now: at(4))
      let actions = machine.timePassed(now: at(120_003))
      guard case .transactionOutcomeUnknown("job", false, _) = error(actions.first) else {
        Issue.record("\(actions)")
        return
      }
      // It cannot be taken back.
      guard case .transactionMisuse = error(machine.endRequested(7, commits: false, now: at(120_004)).first) else {
        Issue.record("aborted")
        return
      }
      let next = ProducerIdentity(id: 7, epoch: 1)
      if answersMeanwhile {
        #expect(machine.answered(2, .done(next), now: at(120_005), unit: 0.5) == [])
        #expect(machine.endRequested(8, commits: true, now: at(120_006)) == [.finish(8, nil)])
      } else {
        #expect(machine.answered(2, lost, now: at(120_005), unit: 0.5) == [])
        #expect(machine.timePassed(now: at(130_000)) == [])
        #expect(machine.endRequested(8, commits: true, now: at(130_001)) == [.send(3, .endTransaction(commits: true))])
        #expect(machine.answered(3, .done(next), now: at(130_002), unit: 0.5) == [.finish(8, nil)])
      }
      #expect(machine.state == .ready && machine.identity == next)
    }
  }

  @Test func aFailedBatchAsksForAnAbortAndAnotherEpoch() {
    for canBump in [true, false] {
      var machine = open(implicit: false, canBump: canBump)
      _ = machine.endRequested(6, commits: true, now: at(3))
      let actions = machine.batchFailed(.outOfOrderSequenceNumber, "gap", now: at(4))
      guard canBump else {
        // Before Kafka 2.5 nobody can clear that up.
        guard case .transactionFailed = error(actions.first) else {
          Issue.record("\(actions)")
          return
        }
        continue
      }
      #expect(error(actions.first) == .transactionMustAbort("job", .outOfOrderSequenceNumber, cause: "gap"))
      #expect(machine.refusal?.requiresAbort == true)
      // A commit is refused from now on; the abort goes through, with the next epoch behind it.
      #expect(error(machine.endRequested(7, commits: true, now: at(5)).first) != nil)
      let aborting = machine.endRequested(8, commits: false, now: at(5))
      #expect(aborting == [.drop(ClientError(.transactionAborted("job")), evenSent: false)])
      #expect(machine.batchesCounted(hasOpen: true, now: at(6)) == [])
      #expect(machine.batchesCounted(hasOpen: false, now: at(7)) == [.send(3, .endTransaction(commits: false))])
      #expect(
        machine.answered(3, .done(nil), now: at(8), unit: 0.5) == [.send(4, .initProducerID(current: first))])
      let next = ProducerIdentity(id: 7, epoch: 1)
      #expect(machine.answered(4, .done(next), now: at(9), unit: 0.5) == [.finish(8, nil)])
      #expect(machine.identity == next && machine.state == .ready)
    }
  }

  @Test func fromKafka4TheAbortItselfBringsTheEpoch() {
    var machine = open(implicit: true)
    _ = machine.batchFailed(.outOfOrderSequenceNumber, "gap", now: at(4))
    #expect(
      machine.endRequested(8, commits: false, now: at(5)) == [
        .drop(ClientError(.transactionAborted("job")), evenSent: true), .send(2, .endTransaction(commits: false)),
      ])
    let next = ProducerIdentity(id: 7, epoch: 1)
    #expect(machine.answered(2, .done(next), now: at(6), unit: 0.5) == [.finish(8, nil)])
    #expect(machine.identity == next)
  }

  @Test func anIdThatTheCoordinatorForgotIsReplacedWithoutAnEnd() {
    var machine = open(implicit: true)
    _ = machine.endRequested(6, commits: true, now: at(3))
    _ = machine.batchesCounted(hasOpen: false, now: at(4))
    let actions = machine.answered(2, .refused(.invalidProducerIDMapping, "end"), now: at(5), unit: 0.5)
    #expect(error(actions.first) != nil)
    #expect(
      machine.endRequested(8, commits: false, now: at(6)).last == .send(3, .initProducerID(current: first)))
    let next = ProducerIdentity(id: 20, epoch: 0)
    #expect(machine.answered(3, .done(next), now: at(7), unit: 0.5) == [.finish(8, nil)])
  }

  @Test func anAbortThatIsRefusedIsTriedAgainAfterAPause() {
    var machine = open(implicit: true)
    _ = machine.endRequested(6, commits: false, now: at(3))
    #expect(machine.answered(2, .refused(.transactionAbortable, "end"), now: at(4), unit: 0.5) == [])
    #expect(machine.timePassed(now: at(50)) == [])
    #expect(machine.timePassed(now: at(200)) == [.send(3, .endTransaction(commits: false))])
    // Whom the coordinator does not know has nothing to end, and needs an identity of which it does.
    #expect(
      machine.answered(3, .refused(.unknownProducerID, "end"), now: at(201), unit: 0.5) == [
        .send(4, .initProducerID(current: first))
      ])
  }

  @Test func anAdditionWithoutAnAnswerIsClearedUpByTheAbort() {
    var machine = ready(implicit: false)
    _ = machine.begun()
    _ = machine.partitionsTouched([t0], now: at(2))
    _ = machine.endRequested(6, commits: false, now: at(3))
    _ = machine.batchesCounted(hasOpen: false, now: at(3))
    #expect(machine.answered(2, lost, now: at(4), unit: 0.5) == [.send(3, .endTransaction(commits: false))])
    // It had not arrived; but it may yet, so the epoch is raised.
    #expect(
      machine.answered(3, .refused(.invalidTxnState, "end"), now: at(5), unit: 0.5) == [
        .send(4, .initProducerID(current: first))
      ])
    _ = machine.answered(4, .done(ProducerIdentity(id: 7, epoch: 1)), now: at(6), unit: 0.5)
    #expect(machine.state == .ready)
  }

  @Test func offsetsHaveATime() {
    var machine = ready(implicit: true)
    _ = machine.begun()
    _ = machine.offsetsGiven(5, offsets, now: at(2))
    _ = machine.answered(2, .refused(.notCoordinator, "offsets"), now: at(3), unit: 0.5)
    let actions = machine.timePassed(now: at(120_002))
    #expect(error(actions.first)?.transactionText.contains("offsets were not committed within") == true)
    #expect(machine.refusal?.requiresAbort == true)
  }

  @Test func membersThatLostTheirGroupAbort() {
    var machine = ready(implicit: true)
    _ = machine.begun()
    _ = machine.offsetsGiven(5, offsets, now: at(2))
    let actions = machine.answered(2, .refused(.illegalGeneration, "offsets"), now: at(3), unit: 0.5)
    guard case .transactionMustAbort("job", .illegalGeneration, _) = error(actions.first) else {
      Issue.record("\(actions)")
      return
    }
    #expect(machine.endRequested(6, commits: false, now: at(4)).last == .send(3, .endTransaction(commits: false)))
  }

  @Test func callsOutOfOrderAreToldWhatComesFirst() {
    var fresh = machine()
    #expect(fresh.begun()?.description == "transactional id job: call initTransactions first, and wait for it")
    #expect(error(fresh.endRequested(1, commits: true, now: at(0)).first) != nil)
    var machine = ready(implicit: true)
    #expect(machine.refusal?.description == "transactional id job: call beginTransaction first")
    #expect(error(machine.initRequested(2, now: at(2)).first) != nil)
    #expect(error(machine.offsetsGiven(3, offsets, now: at(2)).first) != nil)
    #expect(machine.begun() == nil)
    #expect(machine.begun() != nil)
    #expect(machine.ended(ClientError(.closed)) == [])
    #expect(error(machine.endRequested(4, commits: true, now: at(3)).first) == .closed)
  }
}
