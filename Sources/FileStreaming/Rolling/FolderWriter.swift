import Codecs
import Datasets
import Groundwork
import Journals
import SystemInterfaces

/// Writes the files of an output folder: the I/O of a rolling sink, call by call, each of which blocks.
///
/// Here is the way of a batch: prepare, then decide or commit or abort. What closes files and gives them their names is in
/// `FolderWriter+Rolling`, what takes back or settles what a batch left in `FolderWriter+Recovery`.
///
/// Belongs to one loop at a time.
final class FolderWriter {
  /// What the files are to be.
  struct Settings: Sendable {
    var folder: String
    var job: String
    /// The number of this process, for whoever finds the folder locked.
    var processID: Int32?
    var rolling = RollingPolicy()
    /// The end of the files' names: format and compression.
    var ending = ".txt"
    /// What every file begins with, compressed like the rest.
    var header = Bytes()
    var limits = FolderManifest.Limits()
    /// Whether the job goes on where its log knows less than the folder: it was asked for at-least-once.
    var acceptsRepeats = false
  }

  /// A batch whose bytes are in the files and count for nothing yet.
  struct Prepared: Sendable {
    var change: BatchChange
    /// Files that the batch has made.
    var made: [Int64]
  }

  let settings: Settings
  let files: any FileStore
  let log: @Sendable (String) -> Void
  let manifest: FolderManifest
  let openFiles: OpenFiles
  /// The batch that is prepared and not decided.
  private(set) var pending: Prepared?
  /// The batch of which nobody can say whether it was decided: only a start finds out.
  private(set) var undecided: Int64?
  /// Whether a power loss may take the last commit, which was decided elsewhere.
  var isCommitLoose = false
  /// Set by `recover` or by being the decider: no batch can come twice.
  var isSettled = false

  init(_ settings: Settings, files: any FileStore, log: @escaping @Sendable (String) -> Void) throws {
    self.settings = settings
    self.files = files
    self.log = log
    manifest = try FolderRecovery.takeOver(settings, in: files, log: log)
    openFiles = OpenFiles(settings.folder, manifest.state, in: files, handlesMax: settings.rolling.openFilesMax)
  }

  var state: FolderState { manifest.state }

  func absolute(_ path: String) -> String { "\(settings.folder)/\(path)" }

  /// Whose batch is prepared, by this run or one before.
  var preparedBatch: Int64? { pending?.change.batch ?? state.prepared?.batch }

  // MARK: Prepare

  /// Appends a batch's pieces to the open files of their directories and syncs them.
  /// - Parameters:
  ///   - parts: what the partitions handed over, in their order.
  ///   - isDeciding: false keeps the batch in the manifest, for a decision that is made elsewhere.
  func prepare(_ batch: BatchIdentity, _ parts: [FilePieces], isDeciding: Bool) throws -> Prepared {
    try manifest.checkEpoch()
    try makeWhole()
    if state.prepared != nil, pending == nil {
      // Of a run before, or of an attempt that could not be taken back; nobody has settled it: the job runs the batch again.
      try dropPrepared()
    }
    if let pending {
      throw FileStreamingError.outOfOrder(
        settings.folder, reason: "batch \(pending.change.batch) is neither committed nor dropped")
    }
    guard !isSettled || batch.number.rawValue > state.lastBatch else {
      throw FileStreamingError.outOfOrder(
        settings.folder, reason: "batch \(batch.number) comes behind batch \(state.lastBatch)")
    }
    var work = PrepareWork(batch)
    do {
      try append(parts, &work)
      closeOverdue(&work)
      let change = BatchChange(
        batch: batch.number.rawValue, time: batch.time.milliseconds, previous: state.lastBatch, record: Bytes(),
        isExact: isSettled, files: work.changes.values.sorted { $0.number < $1.number })
      let prepared = Prepared(change: change, made: work.made)
      if isDeciding {
        try work.sync(files)
      } else {
        // At once: nobody decides before both are durable, and where a power loss leaves only one the batch is dropped.
        try manifest.append(.prepared(epoch: manifest.epoch, change), syncedWith: work.unsynced)
        try manifest.checkEpoch()
      }
      pending = prepared
      return prepared
    } catch {
      // Where the manifest may hold the batch as prepared, its bytes stay until it is dropped there.
      if isDroppable(batch.number.rawValue) { takeBack(touched: Array(work.changes.keys), made: work.made) }
      throw error
    }
  }

  private func append(_ parts: [FilePieces], _ work: inout PrepareWork) throws {
    // By directory, so that a file is written in one go; within it in the order of the partitions.
    var byDirectory: [String: [(pieces: [FilePiece], attempt: String?)]] = [:]
    for part in parts {
      for place in part.places where !place.pieces.isEmpty {
        byDirectory[place.directory, default: []].append((place.pieces, part.attemptPath))
      }
    }
    var newNames: Set<String> = []
    for (directory, runs) in byDirectory.sorted(by: { $0.key < $1.key }) {
      var writer = try DirectoryWriter(self, directory, &work)
      for run in runs { try writer.append(run.pieces, run.attempt, &work) }
      try writer.finish(&work)
      if writer.madeFiles { newNames.insert(directory) }
    }
    // A committed file must have a name after a power loss.
    for directory in newNames.sorted() {
      try files.syncDirectory(directory.isEmpty ? settings.folder : absolute(directory))
    }
  }

  // MARK: Decide

  /// Keeps the decision together with the batch that is prepared; where that certainly failed, the batch is dropped.
  /// - Parameter prepared: nil where the batch has nothing for this folder.
  func decide(_ batch: BatchIdentity, record: Bytes, _ prepared: Prepared?) -> DecisionOutcome {
    let number = batch.number.rawValue
    var change =
      prepared?.change
      ?? BatchChange(
        batch: number, time: batch.time.milliseconds, previous: state.lastBatch, record: record, isExact: isSettled,
        files: [])
    change.record = record
    do {
      guard prepared == nil || pending?.change.batch == number else {
        throw FileStreamingError.outOfOrder(settings.folder, reason: "batch \(number) is decided and was not prepared")
      }
      try makeWhole()
    } catch {
      if let prepared { abort(prepared) }
      return .aborted(error)
    }
    do {
      try manifest.append(.batch(epoch: manifest.epoch, change), sync: true)
    } catch {
      if manifest.isBroken {
        undecided = number
        return .unknown(error)
      }
      if let prepared { abort(prepared) }
      return .aborted(error)
    }
    committed(change)
    do {
      try manifest.checkEpoch()
      return .decided
    } catch {
      return .unknown(error)
    }
  }

  /// Rolls the prepared batch forward after another's decision; nothing where it is committed already.
  func commit(_ prepared: Prepared) throws {
    if state.prepared?.batch != prepared.change.batch {
      guard state.lastBatch == prepared.change.batch, pending?.change.batch != prepared.change.batch else {
        throw FileStreamingError.outOfOrder(
          settings.folder, reason: "batch \(prepared.change.batch) is committed and was not prepared")
      }
      return try manifest.checkEpoch()
    }
    try makeWhole()
    // A power loss may take the entry: `recover` brings it back, where somebody calls it.
    try manifest.append(.committed(epoch: manifest.epoch, batch: prepared.change.batch), sync: !isSettled)
    isCommitLoose = isSettled
    committed(prepared.change)
    try manifest.checkEpoch()
  }

  func committed(_ change: BatchChange) {
    if pending?.change.batch == change.batch { pending = nil }
    for file in change.files {
      openFiles.tailEnds(file.number)
      guard let stored = state.files[file.number] else { continue }
      if stored.phase == .open { openFiles.goOn(with: stored) } else { openFiles.forget(stored) }
    }
  }

  /// Drops what is prepared; nothing where it is committed or dropped already. What cannot be undone now is logged, and
  /// done before the file is used again.
  func abort(_ prepared: Prepared) {
    guard pending?.change.batch == prepared.change.batch else { return }
    pending = nil
    guard isDroppable(prepared.change.batch) else { return }
    takeBack(touched: prepared.change.files.map(\.number), made: prepared.made)
  }

  /// Gives the folder up.
  func unlock() { manifest.unlock() }
}
