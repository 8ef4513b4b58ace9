import Datasets
import Groundwork

/// What the coordinator sees of an operator with state, without its types. All calls come on the driver's loop.
protocol StatefulOperator: AnyObject {
  var name: String { get }
  /// Where its state was stored under a name that it had before.
  var aliases: [String] { get }
  func add(aliases more: [String])
  var isDerivedName: Bool { get }
  /// The operators that lead to it.
  var lineage: String { get }
  var keyType: String { get }
  var stateType: String { get }
  var version: Int { get }
  /// nil: as stored, else the context's parallelism.
  var wantedPartitions: Int? { get }
  /// How its entries are made, where types alone do not say it.
  var shape: StateShape? { get }
  /// Whose name and partitions it shares, with a word behind the name: its state can be made anew from that one's.
  var leader: (any StatefulOperator)? { get }
  func canRead(stateType: String, version: Int) -> Bool

  /// Makes room; before anything is read back.
  func open(partitions: Int)
  /// Reads changes that were written under a schema.
  func load(_ changes: Bytes, stateType: String, version: Int) throws
  /// Everything was read back.
  /// - Parameter isNew: nothing of the operator was ever committed.
  func loaded(_ version: BatchNumber, time: Timestamp?, isNew: Bool)

  /// What brings every state partition to the batch; nil where the operator has no dataset for it.
  func completion(_ frame: BatchFrame) -> CompletionJob?
  /// The encoded changes of a batch, by partition; throws where a partition was not computed.
  func prepared(_ batch: BatchNumber) throws(StreamingError) -> [(partition: Int, changes: Bytes)]
  /// A number for each change of a batch that was computed, by partition.
  func digests(of batch: BatchNumber) -> [[UInt64]]
  /// The batch is computed and not decided: what it changed is what the next one begins with all the same.
  /// - Parameter isRevocable: whether `abort` must be able to take that back; not where the job ends with it.
  func lend(_ batch: BatchNumber, isRevocable: Bool)
  func commit(_ batch: BatchNumber)
  /// - Returns: whether entries of tables have got other numbers.
  func abort(_ batch: BatchNumber) -> Bool
  /// The job has ended: the run of its last batch goes, which holds the operator.
  func release()
  /// Keys after the batch that was prepared last.
  var keyCount: Int { get }
  /// Bytes that the tables take, without what keys and values refer to.
  var tableBytes: Int { get }
  /// Whether nothing of it was ever committed.
  var isUnstored: Bool { get }
  var partitionCount: Int { get }
  func slice(_ partition: Int, from: Int, bytes: Int) -> (blocks: [Bytes], next: Int?)
}

/// An operator that keeps a state for each key from batch to batch; what it computes of a batch is in `Output`.
///
/// Sendable: defined by one thread before the context starts, afterwards only the driver's loop touches it. Tasks see the
/// run of their batch, which guards itself.
@usableFromInline
package final class KeyedOperator<
  Key: Hashable & Sendable & StreamCodable, Value: StreamCodable, Output: Sendable
>: StatefulOperator, @unchecked Sendable {
  @usableFromInline package typealias Compute = StateRun<Key, Value, Output>.Compute

  private let context: StreamingContext
  private let schema: StateSchema<Value>
  private let placedBy: @Sendable (Key) -> UInt64
  /// See `StateCell.Apply`.
  @usableFromInline package typealias Apply =
    @Sendable (inout StateTable<Key, Value>, ContiguousArray<StateChange<Key, Value>>, Bool) -> ContiguousArray<
      StateChange<Key, Value>
    >
  private let apply: Apply
  /// Whether what changes is written; else it is in memory only.
  private let encodes: Bool
  private let detach = StateDetacher<Key, Value>()
  let wantedPartitions: Int?
  let shape: StateShape?
  private(set) var leader: (any StatefulOperator)?
  /// Whether another one computes it with itself, in every partition.
  private var isLed = false
  private var stream: AnyDStream?
  private var dataset: (@Sendable (BatchFrame) -> AnyRDD?)?
  /// Counts what a partition's result says, once in each batch.
  package var onResult: @Sendable (StateResult<Key, Value, Output>, TaskContext) -> Void = { _, _ in }
  private var cells: [StateCell<Key, Value>] = []
  /// Of the batch begun last.
  private var run: StateRun<Key, Value, Output>?
  /// Of the batch before it, which is not decided yet, and whose changes it begins with.
  private var lent: StateRun<Key, Value, Output>?
  private(set) var isUnstored = true
  /// Whether a batch that begins now is the operator's first.
  @usableFromInline package var isNew: Bool { isUnstored && lent == nil }
  private var keysCommitted = 0
  private var keysPrepared = 0
  private var batchPrepared: BatchNumber?
  /// Whether somebody asks for all keys of each batch.
  private var withSnapshots = false
  /// The deadline of keys that were stored without one; nil leaves them so.
  package var deadlineOfOld: (@Sendable (Timestamp) -> Int64)?
  /// The deadline of keys that are read back, whatever they were stored with; as stored where nil.
  private var deadlineOfKey: (@Sendable (Key) -> Int64)?
  /// Entries of tables that tasks have read, and changes that were written, of all committed batches.
  package private(set) var looked = 0
  package private(set) var changesWritten = 0
  private var ownAliases: [String] = []

  /// - Parameters:
  ///   - partitions: state partitions; nil takes those that are stored, or the context's parallelism.
  ///   - schema: how values are written.
  ///   - shape: how entries are made, where types alone do not say it.
  ///   - placedBy: the hash that decides a key's partition.
  ///   - apply: puts changes into a table: `StateTable.apply`, compiled for the types where the caller is inlinable.
  @usableFromInline package init(
    _ context: StreamingContext, partitions: Int?, schema: StateSchema<Value>, shape: StateShape? = nil,
    placedBy: @escaping @Sendable (Key) -> UInt64 = { stableHash($0) },
    apply: @escaping Apply = { $0.apply($1, keepsReplaced: $2) }
  ) {
    self.apply = apply
    self.context = context
    self.schema = schema
    self.shape = shape
    self.placedBy = placedBy
    encodes = context.environment.checkpointDirectory != nil
    wantedPartitions = partitions.map { max(1, $0) }
    StateCoordinator.of(context).add(self)
  }

  /// Says which stream begins the run of each batch, and which carries the operator's name, where that is another.
  @usableFromInline package func bind<Element>(to stream: DStream<Element>, namedBy outer: AnyDStream? = nil) {
    self.stream = outer ?? stream
    stream.noteState()
    outer?.noteState()
    dataset = { frame in stream.dataset(frame) }
    StateCoordinator.of(context).bind(self, outer ?? stream)
  }

  /// Has its state go with another operator's, whose results its own computation asks for; it must have been made later.
  @usableFromInline package func follow<K, V, O, Element>(_ other: KeyedOperator<K, V, O>, in stream: DStream<Element>)
  {
    leader = other
    other.isLed = true
    dataset = { frame in stream.dataset(frame) }
  }

  /// Has the deadlines of keys that are read back follow from the keys.
  @usableFromInline package func setDeadlineOfKey(_ deadline: @escaping @Sendable (Key) -> Int64) {
    deadlineOfKey = deadline
  }

  package func add(aliases more: [String]) { ownAliases += more }
  package func keepSnapshots() { withSnapshots = true }

  /// Begins a batch: called once for each, by the stream that the operator is bound to, on the driver's loop.
  @usableFromInline package func begin(
    _ frame: BatchFrame, _ compute: @escaping Compute
  ) -> StateRun<Key, Value, Output> {
    if cells.isEmpty { open(partitions: wantedPartitions ?? context.sluice.defaultParallelism) }
    let run = StateRun(
      frame.identity, name: name, cells: cells, isNew: isNew, withSnapshot: withSnapshots, encodes: encodes,
      detach, compute: compute)
    self.run = run
    return run
  }

  /// The run of a batch, for the operator's other streams; nil where it is past.
  @usableFromInline package func run(_ frame: BatchFrame) -> StateRun<Key, Value, Output>? {
    _ = dataset?(frame)
    return run(of: frame.number)
  }

  private func run(of batch: BatchNumber) -> StateRun<Key, Value, Output>? {
    if let run, run.batch.number == batch { return run }
    return lent.flatMap { $0.batch.number == batch ? $0 : nil }
  }

  /// The partitioner that brings keys to their state; known once the context has started.
  @usableFromInline package var partitioner: Partitioner<Key> { .byStreamHash(max(1, partitionCount)) }

  // MARK: StatefulOperator

  var name: String { leader.map { Self.led($0.name) } ?? stream?.name ?? "unnamed" }
  var aliases: [String] { leader.map { $0.aliases.map(Self.led) } ?? ownAliases }
  private static func led(_ name: String) -> String { name + " running" }
  var isDerivedName: Bool {
    leader != nil ? false : stream.map { context.operators[$0.operatorIndex].isDerived } ?? true
  }
  var lineage: String {
    var labels: [String] = []
    var pending: [AnyDStream] = stream.map { [$0] } ?? []
    while let next = pending.popLast() {
      labels.append(next.label)
      pending += next.parents
    }
    return labels.joined(separator: " < ")
  }
  var keyType: String { stateTypeName(Key.self) }
  var stateType: String { stateTypeName(Value.self) }
  var version: Int { schema.version }
  @usableFromInline package var partitionCount: Int {
    cells.isEmpty ? wantedPartitions ?? context.sluice.defaultParallelism : cells.count
  }

  func canRead(stateType: String, version: Int) -> Bool {
    stateType == self.stateType && version == schema.version
      || schema.migration(from: stateType, version: version) != nil
  }

  func open(partitions: Int) {
    cells = (0..<partitions).map { _ in StateCell(apply) }
    isUnstored = true
    keysCommitted = 0
    keysPrepared = 0
    (run, lent) = (nil, nil)
  }

  func load(_ changes: Bytes, stateType: String, version: Int) throws {
    let migrate =
      stateType == self.stateType && version == schema.version
      ? nil : schema.migration(from: stateType, version: version)
    do {
      var failure: (any Error)?
      try StoredChange.each(in: changes) { change throws(StreamDecodingError) in
        guard failure == nil else { return }
        let key = detach.key(try Key.streamDecoded(change.key))
        let cell = cells[Int(truncatingIfNeeded: placedBy(key) % UInt64(cells.count))]
        guard let bytes = change.value else { return cell.load(key, nil, deadline: nil) }
        let deadline = deadlineOfKey.map { $0(key) } ?? change.deadline
        guard let migrate else {
          return cell.load(key, detach.value(try Value.streamDecoded(bytes)), deadline: deadline)
        }
        do {
          var reader = StreamReader(bytes)
          cell.load(key, detach.value(try migrate(&reader)), deadline: deadline)
        } catch {
          failure = error
        }
      }
      if let failure { throw failure }
    } catch {
      throw StreamingError.checkpoint(
        "the state of '\(name)' cannot be read as \(self.stateType), version \(schema.version): \(error). Where the type's "
          + "encoding has changed, raise the version and migrate from \(stateType)")
    }
  }

  func loaded(_ version: BatchNumber, time: Timestamp?, isNew: Bool) {
    isUnstored = isNew
    for cell in cells { cell.loaded(version.rawValue) }
    if let deadlineOfOld, let time {
      let deadline = deadlineOfOld(time)
      for cell in cells { cell.setMissingDeadlines(deadline) }
    }
    keysCommitted = cells.reduce(0) { $0 + $1.figures.keys }
    keysPrepared = keysCommitted
  }

  func completion(_ frame: BatchFrame) -> CompletionJob? {
    guard !isLed, let dataset = dataset?(frame), let run = run(of: frame.number) else { return nil }
    return CompletionJob(label: name, dataset: dataset) { [onResult] partition, task in
      onResult(try run.result(partition, task), task)
    }
  }

  func prepared(_ batch: BatchNumber) throws(StreamingError) -> [(partition: Int, changes: Bytes)] {
    guard let run = run(of: batch) else {
      throw .batchFailed(batch: batch, reason: "the state of '\(name)' was not computed: this is a defect")
    }
    var blocks: [(partition: Int, changes: Bytes)] = []
    var growth = 0
    for (partition, result) in run.results.enumerated() {
      guard let changes = result?.prepared else {
        throw .batchFailed(
          batch: batch, reason: "partition \(partition) of '\(name)' was not computed: this is a defect")
      }
      growth += changes.growth
      blocks += changes.blocks.map { (partition, $0) }
    }
    keysPrepared = keysCommitted + growth
    batchPrepared = batch
    return blocks
  }

  func digests(of batch: BatchNumber) -> [[UInt64]] {
    guard let run = run(of: batch) else { return [] }
    return run.results.map { result in
      (result?.prepared?.changes ?? []).map { change in
        let value = change.value.map { stableHash($0) } ?? 0
        return Hash64.short(stableHash(change.key), value, seed: UInt64(bitPattern: change.deadline ?? .min))
      }
    }
  }

  func lend(_ batch: BatchNumber, isRevocable: Bool) {
    guard let run = run(of: batch) else { return }
    lent = run
    for (cell, result) in zip(cells, run.results) {
      guard let changes = result?.prepared else { continue }
      cell.lend(.init(batch, changes.changes, changes.timerTime), isRevocable: isRevocable)
    }
  }

  func commit(_ batch: BatchNumber) {
    guard let run = run(of: batch) else { return }
    let isLent = lent === run
    for (cell, result) in zip(cells, run.results) {
      guard let result, let changes = result.takeChanges() else { continue }
      looked += result.looked
      changesWritten += changes.changes.count
      if isLent { cell.keep() } else { cell.commit(.init(batch, changes.changes, changes.timerTime)) }
    }
    keysCommitted = keysPrepared
    isUnstored = false
    if self.run === run { self.run = nil }
    if isLent { lent = nil }
  }

  func abort(_ batch: BatchNumber) -> Bool {
    guard let run = run(of: batch) else { return false }
    run.reset()
    if batchPrepared == batch { (keysPrepared, batchPrepared) = (keysCommitted, nil) }
    guard lent === run else { return false }
    lent = nil
    return cells.reduce(false) { $1.takeBack() || $0 }
  }

  func release() {
    (run, lent, dataset, stream, leader) = (nil, nil, nil, nil, nil)
    onResult = { _, _ in }
  }

  var keyCount: Int { keysPrepared }
  var tableBytes: Int { cells.reduce(0) { $0 + $1.allocatedBytes } }

  func slice(_ partition: Int, from: Int, bytes: Int) -> (blocks: [Bytes], next: Int?) {
    cells[partition].slice(from: from, bytes: bytes)
  }

  /// Every key with its state as of the last committed batch. O(keys).
  package var contents: ContiguousArray<(Key, Value)> {
    var result: ContiguousArray<(Key, Value)> = []
    for cell in cells { result += cell.contents }
    return result
  }

  /// Where each partition's entries lie in memory: it changes when they are copied.
  package var addresses: [Int] { cells.map(\.address) }

  /// Keys, timers and changes put in, over all partitions.
  package var figures: (keys: Int, timers: Int, applied: Int) {
    cells.reduce((0, 0, 0)) { sum, cell in
      let more = cell.figures
      return (sum.0 + more.keys, sum.1 + more.timers, sum.2 + more.applied)
    }
  }
}
