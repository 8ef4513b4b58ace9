import Datasets
import Groundwork
import JobScheduling
import SystemInterfaces

/// All state of a job as one part of each batch: it finds the operators' state again at a start, has every state
/// partition computed in every batch, makes the changes durable in one write, and keeps the log short.
///
/// Sendable: defined by one thread before the context starts; afterwards only the driver's loop touches it.
package final class StateCoordinator: BatchParticipant, @unchecked Sendable {
  package let key = "state"
  private unowned let context: StreamingContext
  private var operators: [any StatefulOperator] = []
  private var streams: [(operatorIndex: Int, stateful: any StatefulOperator)] = []
  /// The catalog's numbers, in the order of `operators`.
  private var ids: [Int] = []
  private var catalog = StateCatalog()
  package private(set) var store: StateStore?
  /// Where the snapshot that is being written stands.
  private var cursor: (operation: Int, partition: Int, entry: Int)?
  private var lastDeltaBytes = 0
  /// Whether the job goes on after a batch that failed, with what the batches before it left.
  var isRevocable = false
  /// A snapshot begins when the log has grown to this many bytes, and to the size of the last snapshot.
  package var logBytesMin = 4 << 20
  /// Bytes that a step of a snapshot writes at least; it writes twice what the batch changed where that is more, so that
  /// it comes to its end whatever the load.
  package var sliceBytesMin = 64 << 10
  /// The largest step so far, and what it was allowed to be.
  package private(set) var largestStep = (bytes: 0, allowed: 0)

  private init(_ context: StreamingContext) { self.context = context }

  static func of(_ context: StreamingContext) -> StateCoordinator {
    context.attachment(StateCoordinator.self) {
      let coordinator = StateCoordinator(context)
      context.add(participant: coordinator)
      context.atRelease { for operation in coordinator.operators { operation.release() } }
      return coordinator
    }
  }

  func add(_ operation: any StatefulOperator) { operators.append(operation) }
  func bind(_ operation: any StatefulOperator, _ stream: AnyDStream) {
    streams.append((stream.operatorIndex, operation))
  }
  /// The operator whose state goes by a stream's name.
  func stateful(_ stream: AnyDStream) -> (any StatefulOperator)? {
    streams.first { $0.operatorIndex == stream.operatorIndex }?.stateful
  }

  /// Keys of each operator after the batch prepared last, by its name.
  package var keyCounts: [String: Int] {
    Dictionary(operators.map { ($0.name, $0.keyCount) }, uniquingKeysWith: { first, _ in first })
  }

  /// How large each operator's state is, in the order of definition.
  var sizes: [StateSize] {
    operators.map {
      StateSize(operatorName: $0.name, keys: $0.keyCount, partitions: $0.partitionCount, tableBytes: $0.tableBytes)
    }
  }

  private var declarations: [StateDeclaration] {
    operators.map { operation in
      let reader = UncheckedReader(operation)
      return StateDeclaration(
        name: operation.name, aliases: operation.aliases, lineage: operation.isDerivedName ? operation.lineage : nil,
        keyType: operation.keyType, stateType: operation.stateType, version: operation.version,
        wantedPartitions: operation.wantedPartitions, shape: operation.shape,
        leader: operation.leader.flatMap { leader in operators.firstIndex { $0 === leader } },
        canRead: { reader.operation.canRead(stateType: $0, version: $1) })
    }
  }

  /// Sendable: only the driver's loop calls it.
  private struct UncheckedReader: @unchecked Sendable {
    let operation: any StatefulOperator
    init(_ operation: any StatefulOperator) { self.operation = operation }
  }

  // MARK: Start

  package func restore(_ last: RestorePoint?) throws(StreamingError) {
    let version = last?.batch.number ?? 0
    let folder = context.environment.checkpointDirectory.map { "\($0)/state" }
    let files = context.environment.world.files
    let stored: StateCatalog?
    if let folder {
      stored = try StateCatalog.read(folder, files)
    } else {
      stored = nil
      let names = operators.map { "'\($0.name)'" }.joined(separator: ", ")
      context.environment.log(
        "the state of \(names) is in memory only: a restart begins without it (no checkpoint folder)")
    }
    let dropped = (context.setting("sluice.streaming.state.drop") ?? "").split(separator: ",").map(String.init)
    let matching = try (stored ?? StateCatalog()).matched(
      declarations, dropping: dropped, parallelism: context.sluice.defaultParallelism)
    for remark in matching.remarks { context.environment.log(remark) }
    for operation in operators where folder != nil && operation.isDerivedName {
      context.environment.log(
        "the state of '\(operation.name)' goes by a derived name, which changes with the job's code: write .named(\"…\", "
          + "aliases: [\"\(operation.name)\"])")
    }
    catalog = matching.catalog
    ids = matching.current.map(\.id)
    for (operation, entry) in zip(operators, matching.current) { operation.open(partitions: entry.partitions) }
    var seen: Set<Int> = []
    if let folder {
      let store = try StateStore.open(
        folder: folder, files: files, version: version, lastChange: last?.note.flatMap(Self.lastChange)
      ) { block throws(StreamingError) in
        if stored == nil {
          throw .checkpoint(
            "\(folder) holds state and no catalog that says whose: put back a copy of the checkpoint folder, or start "
              + "anew with another")
        }
        // Of operators that were dropped.
        guard let reader = matching.readers[block.operatorID] else { return }
        seen.insert(reader.index)
        do {
          try self.operators[reader.index].load(
            block.changes, stateType: reader.entry.stateType, version: reader.entry.version)
        } catch let error as StreamingError {
          throw error
        } catch {
          throw StateStore.failure("the state in \(folder) cannot be read", error)
        }
      }
      self.store = store
      if catalog != stored { try catalog.write(folder, files) }
    }
    for (index, operation) in operators.enumerated() {
      operation.loaded(version, time: last?.batch.time, isNew: !seen.contains(index))
    }
  }

  /// The batch that changed state last, out of a note.
  private static func lastChange(_ note: String) -> Int64? {
    note.split(separator: "\n").first { $0.hasPrefix("change=") }.flatMap { Int64($0.dropFirst("change=".count)) }
  }

  // MARK: A batch

  package func completions(_ frame: BatchFrame) -> [CompletionJob] {
    operators.compactMap { $0.completion(frame) }
  }

  package func prepare(
    _ batch: BatchIdentity, then: @escaping @Sendable ((any Error)?) -> Void
  ) {
    do throws(StreamingError) {
      var blocks: [StateBlock] = []
      for (index, operation) in operators.enumerated() {
        let id = index < ids.count ? ids[index] : 0
        // A block without changes says that the operator has begun.
        if operation.isUnstored { blocks.append(StateBlock(operatorID: id, partition: 0, changes: Bytes())) }
        blocks += try operation.prepared(batch.number).map {
          StateBlock(operatorID: id, partition: $0.partition, changes: $0.changes)
        }
      }
      lastDeltaBytes = blocks.reduce(0) { $0 + $1.changes.count }
      try context.writer?.check()
      try store?.prepare(batch.number, blocks, sync: false)
    } catch {
      return then(error)
    }
    then(nil)
  }

  package func computed(_ batch: BatchIdentity, _ metrics: JobMetrics) {
    for operation in operators { operation.lend(batch.number, isRevocable: isRevocable) }
  }

  package var unsynced: (any File)? { store?.unsynced }

  /// A snapshot takes the place of changes that nobody can give again: the log must not fall behind it.
  package var needsDurableDecision: Bool { store?.isWritingSnapshot ?? false }

  package var hasRemains: Bool { store?.isBroken ?? false }

  package func note(for batch: BatchIdentity, _ metrics: JobMetrics) -> String? {
    var lines = store.map { ["change=\($0.lastChange)"] } ?? []
    for operation in operators {
      lines.append("operator \(operation.name): \(operation.keyCount) keys in \(operation.partitionCount) partitions")
    }
    return lines.joined(separator: "\n")
  }

  package func committed(_ info: BatchInfo) {
    for operation in operators { operation.commit(info.number) }
    guard let store else { return }
    store.committed(info.number)
    do throws(StreamingError) {
      // The last batch that changed something, not the last one: batches that move nothing are not synced by the commit
      // log, and a snapshot of a batch that a power loss takes back would be ahead of it.
      try context.writer?.check()
      try continueSnapshot(store, BatchNumber(store.lastChange))
    } catch {
      // The log keeps everything: the next one is tried when it has grown further.
      cursor = nil
      context.environment.log("\(error); the log of changes grows meanwhile")
    }
  }

  package func aborted(_ batch: BatchIdentity) {
    let isMoved = operators.reduce(false) { $1.abort(batch.number) || $0 }
    // The snapshot has passed some places and has others to come: keys that moved from these to those would be in neither.
    if isMoved, cursor != nil {
      cursor = nil
      store?.dropSnapshot()
    }
    store?.discard(batch.number)
  }

  /// What a batch that was computed would change of each operator's state, by partition, a number a change.
  func digests(of batch: BatchNumber) -> [(name: String, partitions: [[UInt64]])] {
    operators.map { ($0.name, $0.digests(of: batch)) }
  }

  // MARK: Snapshots

  private func continueSnapshot(_ store: StateStore, _ version: BatchNumber) throws(StreamingError) {
    guard let cursor else {
      guard store.logBytes >= max(Int64(logBytesMin), store.snapshotBytes) else { return }
      try store.beginSnapshot(version)
      let begun = operators.indices.map { StateBlock(operatorID: ids[$0], partition: 0, changes: Bytes()) }
      try store.writeSlice(begun, version)
      // The first slice waits for the next batch: its tasks put this one's changes into the tables.
      self.cursor = (0, 0, 0)
      return
    }
    let allowed = max(sliceBytesMin, 2 * lastDeltaBytes)
    var position: (operation: Int, partition: Int, entry: Int)? = cursor
    var blocks: [StateBlock] = []
    var bytes = 0
    while let current = position, bytes < allowed {
      guard current.operation < operators.count else {
        position = nil
        break
      }
      let operation = operators[current.operation]
      let slice = operation.slice(current.partition, from: current.entry, bytes: allowed - bytes)
      for changes in slice.blocks {
        blocks.append(StateBlock(operatorID: ids[current.operation], partition: current.partition, changes: changes))
        bytes += changes.count
      }
      if let next = slice.next {
        position = (current.operation, current.partition, next)
      } else if current.partition + 1 < operation.partitionCount {
        position = (current.operation, current.partition + 1, 0)
      } else {
        position = (current.operation + 1, 0, 0)
      }
    }
    if bytes > largestStep.bytes { largestStep = (bytes, allowed) }
    self.cursor = position
    try store.writeSlice(blocks, version)
    if position == nil {
      try store.publishSnapshot(version)
      try forgetOldSchemas(store)
    }
  }

  /// No snapshot and no log holds blocks of older schemas any more.
  private func forgetOldSchemas(_ store: StateStore) throws(StreamingError) {
    guard catalog.entries.contains(where: { !$0.isCurrent }) else { return }
    catalog.entries.removeAll { !$0.isCurrent }
    try catalog.write(store.folder, store.files)
  }
}
