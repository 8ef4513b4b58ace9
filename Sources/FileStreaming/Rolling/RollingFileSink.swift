import Codecs
import Datasets
import Groundwork
import Streaming
import Synchronization
import SystemInterfaces

/// Writes batches into files that are rolled by size and age over many batches, exactly once.
///
/// A file is written under a hidden name, batch after batch; what counts of it stands in the manifest of the folder, with
/// length and checksum. It gets its name when it is large or old enough. Each batch ends with a whole gzip member, zstd
/// frame or lz4 frame, so that every file, cut anywhere the manifest says, can be read by the usual tools.
///
/// The sink can decide the job's batches: the manifest entry that makes a batch's bytes count holds the engine's record
/// as well. Where another decides, the entry is prepared, and rolled forward after that decision.
///
/// Files are written and synced on a helper loop, not on the driver's, which would stand still meanwhile.
///
/// Sendable: `writer` is touched under `isWorking` alone, `isDeciding` is written on the driver's loop before the first
/// batch; the rest is constant or behind a lock.
public final class RollingFileSink: Sink, Decider, @unchecked Sendable {
  let settings: FolderWriter.Settings
  let codec: CompressionCodec
  let memoryMax: Int
  private let files: any FileStore
  private let log: @Sendable (String) -> Void
  private let helper: (loop: HelperLoop, driver: any Loop)?
  private var writer: FolderWriter?
  /// Held while the writer works. Nobody waits for it but the end of the job, which closes the files after the helper was
  /// told to stop.
  private let isWorking = Mutex(())
  private var isDeciding = false
  private let attemptFolder: Mutex<String>
  private let isSettled = Atomic(false)
  /// The batch time in milliseconds at which a file is too old: spares the helper the batches before.
  private let nextDue = Atomic(Int64.max)

  /// - Parameters:
  ///   - settings: folder, names and sizes.
  ///   - memoryMax: bytes that a task holds before it writes an attempt file.
  ///   - helper: the loop that files are written on, and the driver's; nil writes them in the call.
  init(
    _ settings: FolderWriter.Settings, codec: CompressionCodec, memoryMax: Int = 64 << 20, files: any FileStore,
    helper: (loop: HelperLoop, driver: any Loop)? = nil, log: @escaping @Sendable (String) -> Void
  ) {
    self.settings = settings
    self.codec = codec
    self.memoryMax = memoryMax
    self.files = files
    self.helper = helper
    self.log = log
    attemptFolder = Mutex(FolderLayout.attempts(settings.folder, 0))
  }

  /// `files FOLDER`.
  public var name: String { "files \(settings.folder)" }

  /// Exactly-once where the driver settles at the start what a crash has left; known once it has done so.
  public var guarantee: OutputGuarantee {
    guard isSettled.load(ordering: .relaxed) else {
      return OutputGuarantee(
        .atLeastOnce, reason: "files are committed before the offsets; a batch cut short by a crash is repeated")
    }
    return OutputGuarantee(
      .exactlyOnce,
      reason: isDeciding
        ? "the folder's manifest decides each batch, together with its offsets"
        : "what is prepared in the folder rolls forward once the batch is decided")
  }

  /// This sink itself.
  public var decider: (any Decider)? { self }
  /// A manifest.
  public var rank: DeciderRank { .manifest }
  /// True: the record stands in the manifest's entry.
  public var keepsRecord: Bool { true }
  /// True: what is prepared stands in the manifest.
  public var keepsPrepared: Bool { true }

  private func perform<Output: Sendable>(
    _ work: @escaping @Sendable () throws -> Output,
    then: @escaping @Sendable (Result<Output, any Error>) -> Void
  ) {
    let locked: @Sendable () throws -> Output = { [self] in try isWorking.withLock { _ in try work() } }
    if let helper {
      helper.loop.perform(for: helper.driver, locked, then: then)
    } else {
      then(Result { try locked() })
    }
  }

  private func perform(
    _ work: @escaping @Sendable () throws -> Void, then: @escaping @Sendable ((any Error)?) -> Void
  ) {
    perform(work) { (result: Result<Void, any Error>) in
      if case .failure(let error) = result { then(error) } else { then(nil) }
    }
  }

  /// What nobody waits for; it comes after what was asked for before.
  private func later(_ work: @escaping @Sendable () throws -> Void) {
    let logged: @Sendable () -> Void = { [self] in
      do { try isWorking.withLock { _ in try work() } } catch { log("\(error)") }
    }
    if let helper { helper.loop.loop.post(logged) } else { logged() }
  }

  private func opened() throws -> FolderWriter {
    guard let writer else {
      throw FileStreamingError.outOfOrder(settings.folder, reason: "the folder is used before it was opened")
    }
    return writer
  }

  // MARK: Start

  /// Locks the folder, keeps every predecessor out, and brings the files into the state that the manifest says.
  public func open(_ opening: SinkOpening, then: @escaping @Sendable ((any Error)?) -> Void) {
    isDeciding = opening.isDeciding
    var settings = settings
    settings.job = opening.job
    perform { [self, settings] in
      let writer = try FolderWriter(settings, files: files, log: log)
      self.writer = writer
      attemptFolder.withLock { $0 = FolderLayout.attempts(settings.folder, writer.manifest.epoch) }
      noteDue(writer)
    } then: {
      then($0)
    }
  }

  /// The last batch that the manifest has decided, with the engine's record of it.
  public func takeOver(then: @escaping @Sendable (Result<Decision?, any Error>) -> Void) {
    perform { [self] () throws -> Decision? in
      let writer = try opened()
      if let batch = writer.state.prepared?.batch {
        throw FileStreamingError.unsettled(settings.folder, batch: batch)
      }
      writer.isSettled = true
      isSettled.store(true, ordering: .relaxed)
      let state = writer.state
      return state.lastBatch == 0 ? nil : Decision(batch: BatchNumber(state.lastBatch), record: state.record)
    } then: {
      then($0)
    }
  }

  /// Commits what is prepared for a batch that is decided, and drops it where it is not.
  ///
  /// Fails where the folder has a batch that was never decided: then it is not this job's history.
  public func recover(through decided: BatchNumber?, then: @escaping @Sendable ((any Error)?) -> Void) {
    perform { [self] in
      let writer = try opened()
      try writer.recover(through: decided?.rawValue)
      try writer.settle()
      isSettled.store(writer.isSettled, ordering: .relaxed)
      noteDue(writer)
    } then: {
      then($0)
    }
  }

  /// The last batch whose bytes count.
  public func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void) {
    perform { [self] () throws -> BatchNumber? in
      let last = try opened().state.lastBatch
      return last == 0 ? nil : BatchNumber(last)
    } then: {
      then($0)
    }
  }

  // MARK: Batches

  private struct PreparedFiles: PreparedOutput {
    var batch: BatchIdentity
    var sink: ObjectIdentifier
    /// nil where the batch has nothing for the folder.
    var prepared: FolderWriter.Prepared?
  }

  /// Appends the batch to its files, which nobody reads so far, and syncs them. A batch without records touches nothing.
  public func prepare(
    _ batch: BatchIdentity, _ outputs: [TaskOutput],
    then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void
  ) {
    let parts = outputs.compactMap { $0.payload as? FilePieces }.filter { !$0.places.isEmpty }
    guard !parts.isEmpty else {
      return then(.success(PreparedFiles(batch: batch, sink: ObjectIdentifier(self), prepared: nil)))
    }
    perform { [self] () throws -> any PreparedOutput in
      let prepared = try opened().prepare(batch, parts, isDeciding: isDeciding)
      removeAttempts(parts)
      return PreparedFiles(batch: batch, sink: ObjectIdentifier(self), prepared: prepared)
    } then: {
      then($0)
    }
  }

  private func own(_ prepared: [any PreparedOutput]) -> PreparedFiles? {
    for case let own as PreparedFiles in prepared where own.sink == ObjectIdentifier(self) { return own }
    return nil
  }

  /// Appends the manifest entry that makes the batch's bytes count, with the engine's record, and syncs it.
  public func decide(
    _ decision: Decision, _ prepared: [any PreparedOutput], then: @escaping @Sendable (DecisionOutcome) -> Void
  ) {
    let own = own(prepared)
    let batch = BatchIdentity(number: decision.batch, time: decision.time ?? prepared.first?.batch.time ?? 0)
    perform { [self] () throws -> DecisionOutcome in
      try opened().decide(batch, record: decision.record, own?.prepared)
    } then: { result in
      switch result {
      case .success(let outcome): then(outcome)
      case .failure(let error): then(.aborted(error))
      }
    }
    settleLater()
  }

  /// Rolls the batch forward after another's decision; nothing where the batch has nothing for the folder.
  public func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void) {
    guard let change = own([prepared])?.prepared else { return then(nil) }
    perform {
      try self.opened().commit(change)
    } then: {
      then($0)
    }
    settleLater()
  }

  /// After a commit: files that are complete get their names. The batch does not wait for it, nor fail by it.
  private func settleLater() {
    later { [self] in
      guard let writer, writer.preparedBatch == nil else { return }
      try writer.settle()
      noteDue(writer)
    }
  }

  private func noteDue(_ writer: FolderWriter) { nextDue.store(writer.nextDue, ordering: .relaxed) }

  /// Cuts the files back to what counted before the batch.
  public func abort(_ prepared: any PreparedOutput) {
    guard let prepared = own([prepared])?.prepared else { return }
    later { [self] in try opened().abort(prepared) }
  }

  /// Removes what the task could not hold in memory, if anything.
  public func discard(_ output: TaskOutput) {
    guard let part = output.payload as? FilePieces else { return }
    removeAttempts([part])
  }

  private func removeAttempts(_ parts: [FilePieces]) {
    for path in parts.compactMap(\.attemptPath) {
      do throws(FileError) { try files.removeFile(path) } catch {
        if error.code != .notFound { log("\(error)") }
      }
    }
  }

  /// A batch has ended: files that are too old at its time are closed, also where it had nothing for them.
  func batchCompleted(at time: Timestamp) {
    guard time.milliseconds >= nextDue.load(ordering: .relaxed) else { return }
    later { [self] in
      guard let writer else { return }
      try writer.closeAged(at: time)
      noteDue(writer)
    }
  }

  /// The job has ended as it should: all files are closed and the folder is free. In the call.
  func end() {
    do {
      try isWorking.withLock { _ in
        defer {
          writer?.unlock()
          writer = nil
        }
        try writer?.closeAll()
      }
    } catch {
      log("\(error)")
    }
  }

  /// The job has ended, whichever way: the folder is free. After any but a graceful end everything in it stays as it is.
  /// Waits for what the helper has begun.
  func release() {
    isWorking.withLock { _ in
      writer?.unlock()
      writer = nil
    }
  }

  // MARK: Tasks

  func pieceWriter(_ task: TaskContext) -> PieceWriter {
    PieceWriter(codec: codec, memoryMax: memoryMax, attemptPath: attemptPath(task), files: files, task)
  }

  private func attemptPath(_ task: TaskContext) -> String {
    let folder = attemptFolder.withLock { $0 }
    // With the stage: a task that was given up may still write while its batch is computed again.
    return "\(folder)/batch-\(task.batch.number)-stage-\(task.stage)-part-\(task.partition)-attempt-\(task.attempt)"
  }

  /// Removes what an attempt wrote before it failed.
  func attemptFailed(_ task: TaskContext) {
    let path = attemptPath(task)
    // Mostly there is none: it was never made.
    do throws(FileError) { try files.removeFile(path) } catch {
      if error.code != .notFound { log("\(error)") }
    }
  }
}
