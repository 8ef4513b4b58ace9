import Codecs
import Datasets
import Groundwork
import Streaming
import SystemInterfaces

/// Writes each batch into a folder of its own, `PREFIX-TIME[.SUFFIX]`, one part file a partition and `_SUCCESS` when all
/// are there; the names are Spark's.
///
/// A task writes an attempt file under a name that nobody reads, and syncs it; the commit renames those that count. What
/// is there is never replaced: a batch that runs again after a crash gets a folder with another ending, `-2`, `-3` …, since
/// it may hold other offsets than the run before. Batches without records make no folder.
///
/// Files are moved and synced on a helper loop, not on the driver's, which would stand still meanwhile.
///
/// Sendable: its properties are constant.
public final class TextFileSink: Sink {
  private let files: any FileStore
  /// The folder that holds the batch folders.
  private let parent: String
  /// The first part of a batch folder's name.
  private let stem: String
  private let suffix: String
  private let codec: CompressionCodec
  private let log: @Sendable (String) -> Void
  /// Where files are moved, and the driver's loop, which hears of it; nil moves them in the call.
  private let helper: (loop: HelperLoop, driver: any Loop)?

  /// - Parameters:
  ///   - prefix: a path whose last component begins every batch folder's name.
  ///   - suffix: after a dot, the end of every batch folder's name; empty for none.
  ///   - codec: what part files are compressed with.
  ///   - helper: the loop that files are moved on, and the driver's; nil moves them in the call.
  /// - Throws: where the folder cannot be made or written.
  package init(
    prefix: String, suffix: String, codec: CompressionCodec = .none, files: any FileStore,
    helper: (loop: HelperLoop, driver: any Loop)? = nil, log: @escaping @Sendable (String) -> Void
  ) throws(FileError) {
    self.files = files
    self.codec = codec
    self.helper = helper
    self.suffix = suffix
    self.log = log
    if let slash = prefix.lastIndex(of: "/") {
      parent = slash == prefix.startIndex ? "/" : String(prefix[..<slash])
      stem = String(prefix[prefix.index(after: slash)...])
    } else {
      parent = "."
      stem = prefix
    }
    // An attempt folder left by a process that died holds nothing that counts; making it shows that the place is writable.
    try files.removeTree(attemptFolder)
    try files.createDirectories(attemptFolder)
  }

  private var ending: String { suffix.isEmpty ? "" : ".\(suffix)" }

  private var attemptFolder: String { "\(parent)/_temporary-\(stem)\(ending)" }

  /// The pattern of the batch folders: `files PARENT/STEM-*`.
  public var name: String { "files \(parent)/\(stem)-*\(ending)" }
  /// At-least-once, always: the folder of a batch that is repeated stands beside the first.
  public var guarantee: OutputGuarantee {
    OutputGuarantee(
      .atLeastOnce, reason: "offsets are committed after the files; a batch repeated after a crash gets a folder again")
  }

  /// The folder of a batch, where no earlier run has left one of that time.
  public func folder(of batch: BatchIdentity) -> String { folder(of: batch, run: 1) }

  private func folder(of batch: BatchIdentity, run: Int) -> String {
    "\(parent)/\(stem)-\(batch.time.milliseconds)\(run > 1 ? "-\(run)" : "")\(ending)"
  }

  private func freeFolder(for batch: BatchIdentity) throws(FileError) -> String {
    var run = 1
    while try files.attributes(folder(of: batch, run: run)) != nil { run += 1 }
    return folder(of: batch, run: run)
  }

  /// Always nil: the folders do not say how far the job's offsets were committed.
  public func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void) { then(.success(nil)) }

  /// Begins an attempt file for a task.
  func attempt(_ task: TaskContext) throws -> AttemptFile {
    try AttemptFile(attemptPath(task), of: task, codec: codec, files: files)
  }

  private func attemptPath(_ task: TaskContext) -> String {
    // With the stage: a task that was given up may still write while its batch is computed again.
    "\(attemptFolder)/batch-\(task.batch.number)-stage-\(task.stage)-part-\(task.partition)-attempt-\(task.attempt)"
  }

  /// Drops what a task wrote before it failed.
  func attemptFailed(_ task: TaskContext) { remove(attemptPath(task)) }

  /// Removes the folder of the attempts, when the job has ended.
  func removeAttemptFolder() {
    do throws(FileError) { try files.removeTree(attemptFolder) } catch { log("\(error)") }
  }

  private struct Prepared: PreparedOutput {
    var batch: BatchIdentity
    /// Nobody else's: chosen once, so that a commit that is tried again goes on where it stopped.
    var folder: String
    var parts: [AttemptFile.Written]
  }

  /// Chooses the folder; the attempt files, which the tasks have synced, stay where they are.
  public func prepare(
    _ batch: BatchIdentity, _ outputs: [TaskOutput],
    then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void
  ) {
    let parts = outputs.compactMap { $0.payload as? AttemptFile.Written }
    do throws(FileError) {
      let folder = parts.isEmpty ? "" : try freeFolder(for: batch)
      then(.success(Prepared(batch: batch, folder: folder, parts: parts)))
    } catch {
      then(.failure(error))
    }
  }

  /// Renames the attempt files into the folder, adds `_SUCCESS`, and syncs the names; called again, it goes on where it
  /// stopped. A batch without files makes no folder.
  public func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void) {
    guard let prepared = prepared as? Prepared, !prepared.parts.isEmpty else { return then(nil) }
    guard let helper else { return then(move(prepared)) }
    helper.loop.perform(for: helper.driver) { [self] in
      if let error = move(prepared) { throw error }
    } then: { result in
      if case .failure(let error) = result { then(error) } else { then(nil) }
    }
  }

  private func move(_ prepared: Prepared) -> FileError? {
    do throws(FileError) {
      try files.createDirectories(prepared.folder)
      try prepared.parts.move(into: prepared.folder, in: files)
      try files.syncDirectory(parent)
      return nil
    } catch {
      return error
    }
  }

  /// Removes the batch's attempt files; a failure to do so is logged.
  public func abort(_ prepared: any PreparedOutput) {
    guard let prepared = prepared as? Prepared else { return }
    for part in prepared.parts { remove(part.path) }
  }

  /// Removes one attempt file; a failure to do so is logged.
  public func discard(_ output: TaskOutput) {
    if let part = output.payload as? AttemptFile.Written { remove(part.path) }
  }

  private func remove(_ path: String) {
    do throws(FileError) { try files.removeFile(path) } catch {
      if error.code != .notFound { log("\(error)") }
    }
  }
}
