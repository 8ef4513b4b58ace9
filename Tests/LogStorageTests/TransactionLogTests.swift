import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import LogStorage

/// The coordinator's memory: each step is kept, whatever the death; faults of the disk take back what they struck.
struct TransactionLogTests {
  private let path = "/data/transactions.journal"

  private func open(_ box: SimulatedWorldBox, _ policy: FlushPolicy = .os) throws -> TransactionLog {
    try TransactionLog.open(path, in: box.files, flushPolicy: policy).log
  }

  private func offset(_ value: Int64) -> CommittedOffset {
    CommittedOffset(offset: Offset(value), leaderEpoch: 0, metadata: "m", committed: 3)
  }

  @Test func whatIsKeptIsThereAgain() throws {
    var random = SeededRandom(seed: 4)
    let box = SimulatedWorldBox()
    try box.files.createDirectories("/data")
    var log = try open(box)
    var model: [String: TransactionRecord] = [:]
    var differences = 0
    for step in 0..<3000 {
      let id = "tx\(Int.random(in: 0..<5, using: &random))"
      var record =
        model[id] ?? TransactionRecord(producerID: Int64(step), timeout: .milliseconds(Int64(step)), updated: 1)
      record.updated = Timestamp(milliseconds: Int64(step))
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<4:
        record.phase = .ongoing
        record.started = 9
        record.partitions.insert(TopicPartition("t\(step % 7)", PartitionIndex(Int32(step % 3))))
      case 4..<6:
        record.phase = .ongoing
        record.offsets["g\(step % 2)", default: [:]][TopicPartition("t", PartitionIndex(Int32(step % 4)))] =
          offset(Int64(step))
      case 6:
        record.phase = .ongoing
        record.offsets["announced"] = record.offsets["announced"] ?? [:]
      case 7 where record.phase == .ongoing:
        record.phase = step % 2 == 0 ? .prepareCommit : .prepareAbort
        record.lastEpoch = record.epoch
        record.epoch &+= 1
        record.nextProducerID = step % 3 == 0 ? 99 : -1
      case 8:
        record.phase = [.completeCommit, .completeAbort, .empty][step % 3]
        record.partitions = []
        record.offsets = [:]
        record.previousProducerID = 5
      case 9 where step % 5 == 0:
        try log.remove(id)
        model[id] = nil
        continue
      default: break
      }
      try log.put(id, record)
      model[id] = record
      if step % 100 == 0 {
        if step % 200 == 0 { box.kill() }
        log = try open(box)
      }
      if log.records != model { differences += 1 }
    }
    #expect(differences == 0)
    box.kill()
    #expect(try open(box).records == model)
  }

  @Test func itStaysSmall() throws {
    let box = SimulatedWorldBox()
    try box.files.createDirectories("/data")
    let log = try open(box)
    var record = TransactionRecord(producerID: 1, timeout: .seconds(1), updated: 1)
    for step in 0..<(2 * TransactionLog.spareEntries) {
      record.updated = Timestamp(milliseconds: Int64(step))
      try log.put("tx", record)
    }
    #expect(try box.files.attributes(path)!.size < 100 * 11_000)
    #expect(try open(box).records == ["tx": record])
  }

  @Test(arguments: [FlushPolicy.os, .sync]) func aFailedStepIsAsIfItHadNotBeen(policy: FlushPolicy) throws {
    let box = SimulatedWorldBox()
    try box.files.createDirectories("/data")
    let log = try open(box, policy)
    var record = TransactionRecord(producerID: 1, timeout: .seconds(1), updated: 1)
    try log.put("tx", record)
    let faults: [DiskFault.Operation] = policy == .sync ? [.write, .sync, .rename] : [.write]
    for operation in faults {
      for isTorn in [false, true] {
        var changed = record
        changed.epoch += 1
        changed.partitions.insert(TopicPartition("t", 0))
        changed.phase = .ongoing
        // A rename is only made where the end of the file is unknown.
        if operation == .rename { box.disk.inject(DiskFault(.sync, code: .inputOutput)) }
        box.disk.inject(DiskFault(operation, code: .diskFull, isTorn: isTorn))
        #expect(throws: LogError.self) { try log.put("tx", changed) }
        if operation == .rename {
          #expect(throws: LogError.self) { try log.put("tx", changed) }
        }
        #expect(log.records["tx"] == record)
        changed.epoch += 5
        try log.put("tx", changed)
        record = changed
        #expect(log.records["tx"] == record)
        #expect(try open(box, policy).records["tx"] == record, "\(operation)")
      }
    }
    if policy == .sync {
      box.losePower()
      #expect(try open(box, policy).records["tx"] == record)
    }
  }

  @Test func atEveryCutTheStepsBeforeAreThere() throws {
    let box = SimulatedWorldBox()
    try box.files.createDirectories("/data")
    let log = try open(box)
    var states: [TransactionRecord] = []
    var sizes: [Int64] = []
    var record = TransactionRecord(producerID: 1, timeout: .seconds(1), updated: 1)
    for step in 0..<4 {
      record.phase = step < 3 ? .ongoing : .prepareCommit
      record.partitions.insert(TopicPartition("t", PartitionIndex(Int32(step))))
      try log.put("tx", record)
      states.append(record)
      sizes.append(try box.files.attributes(path)!.size)
    }
    let content = try box.files.contents(of: path)
    for size in 0..<content.count {
      try box.files.replace(path, with: content[0..<size])
      let known = sizes.lastIndex { $0 <= size }
      let (again, cut) = try TransactionLog.open(path, in: box.files, flushPolicy: .os)
      #expect(again.records["tx"] == known.map { states[$0] }, "cut at \(size)")
      #expect(cut == Int64(size) - (known.map { sizes[$0] } ?? 0))
    }
  }
}
