import Groundwork
import KafkaProtocol
import LogStorage
import Testing

@testable import LogBroker

/// The transaction machine alone: event, expected decision, event …
struct TransactionMachineTests {
  private typealias Producer = TransactionMachine.Producer
  private let p0 = TopicPartition("t", 0)
  private let p1 = TopicPartition("t", 1)

  /// The machine of producer 7 with `epoch`, empty.
  private func machine(_ epoch: Int16 = 0, id: Int64 = 7) -> TransactionMachine {
    var record = TransactionRecord(producerID: id, timeout: .seconds(60), updated: 1)
    record.epoch = epoch
    return TransactionMachine(record)
  }

  private func initialize(
    _ machine: inout TransactionMachine, _ expected: Producer? = nil, fresh: Int64? = nil
  ) -> TransactionMachine.Decision {
    machine.initialize(expected: expected, timeout: .seconds(30), freshID: fresh, now: 5)
  }

  private func end(
    _ machine: inout TransactionMachine, commit: Bool, _ id: Int64, _ epoch: Int16, raises: Bool, fresh: Int64? = nil
  ) -> TransactionMachine.Decision {
    machine.end(isCommit: commit, Producer(id: id, epoch: epoch), raisesEpoch: raises, freshID: fresh, now: 6)
  }

  @Test func eachProducerRaisesTheEpoch() {
    var machine = machine(-1)
    #expect(initialize(&machine) == .keep)
    #expect(machine.next == Producer(id: 7, epoch: 0))
    #expect(initialize(&machine) == .keep)
    #expect(machine.next == Producer(id: 7, epoch: 1))
    #expect(machine.add([p0], Producer(id: 7, epoch: 0), now: 5) == .refuse(.producerFenced))
    #expect(machine.add([p0], Producer(id: 8, epoch: 1), now: 5) == .refuse(.invalidProducerIDMapping))
    #expect(machine.add([p0], Producer(id: 7, epoch: 1), now: 5) == .keep)
    #expect(machine.record.timeout == .seconds(30) && machine.record.started == 5)
  }

  @Test func aProducerThatGoesOnSaysWhatItHas() {
    var machine = machine(3)
    let had = Producer(id: 7, epoch: 3)
    #expect(initialize(&machine, had) == .keep)
    #expect(machine.next == Producer(id: 7, epoch: 4))
    // The answer was lost: the same request is answered with the same.
    #expect(initialize(&machine, had) == .asBefore)
    #expect(machine.next == Producer(id: 7, epoch: 4))
    #expect(initialize(&machine, Producer(id: 7, epoch: 2)) == .refuse(.producerFenced))
    #expect(initialize(&machine, Producer(id: 9, epoch: 4)) == .refuse(.producerFenced))
    // One that begins anew does not know, and shuts out the one before.
    #expect(initialize(&machine) == .keep)
    #expect(initialize(&machine, Producer(id: 7, epoch: 4)) == .refuse(.producerFenced))
  }

  @Test func anOpenTransactionIsEndedBeforeTheNextProducer() {
    var machine = machine(3)
    #expect(machine.add([p0], Producer(id: 7, epoch: 3), now: 5) == .keep)
    #expect(initialize(&machine, Producer(id: 7, epoch: 2)) == .refuse(.producerFenced))
    #expect(initialize(&machine) == .fenceFirst)
    #expect(machine.fence(now: 6) == .end)
    #expect(
      machine.marker
        == TransactionMarker(producerID: 7, producerEpoch: 4, coordinatorEpoch: 0, isCommitted: false))
    #expect(initialize(&machine) == .refuse(.concurrentTransactions))
    #expect(end(&machine, commit: true, 7, 3, raises: false) == .refuse(.producerFenced))
    #expect(machine.complete(now: 7) == .keep)
    #expect(machine.record.phase == .completeAbort && machine.record.partitions.isEmpty)
    #expect(initialize(&machine) == .keep)
    #expect(machine.next == Producer(id: 7, epoch: 5))
    #expect(machine.fence(now: 8) == .refuse(.invalidTxnState))
  }

  @Test func aTransactionOfBeforeKafka4() {
    var machine = machine(0)
    let producer = Producer(id: 7, epoch: 0)
    #expect(machine.verify(p0, producer) == .transactionAbortable)
    #expect(end(&machine, commit: true, 7, 0, raises: false) == .refuse(.invalidTxnState))
    #expect(machine.add([p0], producer, now: 5) == .keep)
    #expect(machine.add([p0], producer, now: 6) == .asBefore)
    #expect(machine.add([p0, p1], producer, now: 6) == .keep)
    #expect(machine.record.started == 5)
    #expect(machine.verify(p1, producer) == .none)
    #expect(machine.verify(p1, Producer(id: 7, epoch: 1)) == .producerFenced)
    let offset = CommittedOffset(offset: 9, leaderEpoch: 0, metadata: "", committed: 5)
    #expect(
      machine.commit([(p0, offset)], of: "g", producer, isImplicit: false, now: 6) == .refuse(.transactionAbortable))
    #expect(machine.add(group: "g", producer, now: 6) == .keep)
    #expect(machine.add(group: "g", producer, now: 6) == .asBefore)
    #expect(machine.commit([(p0, offset)], of: "g", producer, isImplicit: false, now: 6) == .keep)
    #expect(machine.record.offsets == ["g": [p0: offset]])
    #expect(end(&machine, commit: true, 7, 0, raises: false) == .end)
    #expect(machine.marker.isCommitted && machine.marker.producerEpoch == 0)
    #expect(machine.add([p0], producer, now: 7) == .refuse(.concurrentTransactions))
    #expect(end(&machine, commit: true, 7, 0, raises: false) == .refuse(.concurrentTransactions))
    #expect(end(&machine, commit: false, 7, 0, raises: false) == .refuse(.invalidTxnState))
    #expect(machine.complete(now: 7) == .keep)
    #expect(machine.complete(now: 7) == .asBefore)
    #expect(machine.record.phase == .completeCommit && machine.record.offsets.isEmpty)
    // Asked again, since the answer was lost.
    #expect(end(&machine, commit: true, 7, 0, raises: false) == .asBefore)
    #expect(end(&machine, commit: false, 7, 0, raises: false) == .refuse(.invalidTxnState))
    #expect(machine.next == producer)
    #expect(machine.add([p1], producer, now: 8) == .keep)
    #expect(machine.record.partitions == [p1] && machine.record.started == 8)
    #expect(end(&machine, commit: false, 7, 0, raises: false) == .end)
    #expect(machine.complete(now: 9) == .keep)
    #expect(end(&machine, commit: false, 7, 0, raises: false) == .asBefore)
  }

  @Test func withKIP890EachEndRaisesTheEpoch() {
    var machine = machine(0)
    #expect(machine.add([p0], Producer(id: 7, epoch: 0), now: 5) == .keep)
    #expect(end(&machine, commit: true, 7, 0, raises: true) == .end)
    #expect(machine.marker.producerEpoch == 1)
    #expect(machine.next == Producer(id: 7, epoch: 1))
    // Asked again before and after it is complete.
    #expect(end(&machine, commit: true, 7, 0, raises: true) == .refuse(.concurrentTransactions))
    #expect(end(&machine, commit: false, 7, 0, raises: true) == .refuse(.invalidTxnState))
    #expect(end(&machine, commit: true, 7, 1, raises: true) == .refuse(.producerFenced))
    #expect(machine.complete(now: 7) == .keep)
    #expect(end(&machine, commit: true, 7, 0, raises: true) == .asBefore)
    #expect(end(&machine, commit: false, 7, 0, raises: true) == .refuse(.invalidTxnState))
    #expect(machine.next == Producer(id: 7, epoch: 1))
    // Nothing was written under the new epoch: there is nothing to commit, but an abort shuts out what may be under way.
    #expect(end(&machine, commit: true, 7, 1, raises: true) == .refuse(.invalidTxnState))
    #expect(end(&machine, commit: false, 7, 1, raises: true) == .end)
    #expect(machine.complete(now: 8) == .keep)
    #expect(machine.next == Producer(id: 7, epoch: 2))
    #expect(end(&machine, commit: false, 7, 1, raises: true) == .asBefore)
    #expect(end(&machine, commit: false, 7, 0, raises: true) == .refuse(.producerFenced))
    // A batch that comes late, with the epoch of a transaction that has ended.
    #expect(machine.add([p0], Producer(id: 7, epoch: 1), now: 9) == .refuse(.producerFenced))
  }

  @Test(arguments: [true, false]) func usedUpEpochsLeadToANewID(commit: Bool) {
    var machine = machine(32_760)
    var producer = Producer(id: 7, epoch: 32_760)
    for step in 0..<10 {
      #expect(machine.add([p0], producer, now: 5) == .keep)
      let isLast = producer == Producer(id: 7, epoch: 32_766)
      #expect(
        end(&machine, commit: commit, producer.id, producer.epoch, raises: true) == (isLast ? .needsProducerID : .end))
      if isLast {
        #expect(machine.record.phase == .ongoing)
        #expect(end(&machine, commit: commit, producer.id, producer.epoch, raises: true, fresh: 1000) == .end)
        // The partitions are told with the last epoch there is, which no producer ever has.
        #expect(machine.marker.producerID == 7 && machine.marker.producerEpoch == 32_767)
      }
      let before = producer
      producer = machine.next
      #expect(machine.complete(now: 6) == .keep)
      #expect(machine.next == producer)
      #expect(end(&machine, commit: commit, before.id, before.epoch, raises: true) == .asBefore)
      #expect(machine.next == producer)
      #expect(
        producer
          == (step < 6 ? Producer(id: 7, epoch: 32_761 + Int16(step)) : Producer(id: 1000, epoch: Int16(step - 6))))
    }
  }

  @Test func usedUpEpochsLeadToANewIDForTheNextProducerToo() {
    var machine = machine(32_765)
    #expect(initialize(&machine) == .keep)
    #expect(machine.next.epoch == 32_766)
    let last = Producer(id: 7, epoch: 32_766)
    // One that goes on, and repeats its request.
    #expect(initialize(&machine, last) == .needsProducerID)
    #expect(initialize(&machine, last, fresh: 1000) == .keep)
    #expect(machine.next == Producer(id: 1000, epoch: 0))
    #expect(initialize(&machine, last) == .asBefore)
    #expect(machine.next == Producer(id: 1000, epoch: 0))
    // One that begins, after a transaction was ended from outside with the last epoch there is.
    machine = self.machine(32_766)
    #expect(machine.add([p0], last, now: 5) == .keep)
    #expect(machine.fence(now: 5) == .end)
    #expect(machine.marker.producerEpoch == 32_767)
    #expect(machine.complete(now: 6) == .keep)
    #expect(machine.add([p0], last, now: 7) == .refuse(.producerFenced))
    #expect(initialize(&machine) == .needsProducerID)
    #expect(initialize(&machine, fresh: 1001) == .keep)
    #expect(machine.next == Producer(id: 1001, epoch: 0))
  }

  @Test func aTimeoutShutsOutTheProducer() {
    var machine = machine(4)
    #expect(machine.add([p0], Producer(id: 7, epoch: 4), now: 5) == .keep)
    #expect(machine.fence(now: 70) == .end)
    #expect(machine.complete(now: 70) == .keep)
    #expect(machine.add([p0], Producer(id: 7, epoch: 4), now: 71) == .refuse(.producerFenced))
    #expect(end(&machine, commit: true, 7, 4, raises: false) == .refuse(.producerFenced))
    #expect(end(&machine, commit: true, 7, 4, raises: true) == .refuse(.producerFenced))
    // What it asks for has happened; with KIP-890 it may go on.
    #expect(end(&machine, commit: false, 7, 4, raises: true) == .asBefore)
    #expect(machine.next == Producer(id: 7, epoch: 5))
  }
}
