import Groundwork
import Journals
import SystemInterfaces

/// Where things stand below `_sluice` in an output folder, a name that readers of folders skip:
///
///     lock            who writes: the job and its epoch; locked while it lives
///     epoch-8         the writer's number, as a name: it changes by renaming only, one step at a time
///     manifest-8      the journal of epoch 8
///     ledgers/8-3     placed files that the manifest has dropped
///     attempts-8/     what tasks could not hold in memory
package enum FolderLayout {
  package static let inside = "_sluice"

  static func inner(_ folder: String) -> String { "\(folder)/\(inside)" }
  static func lock(_ folder: String) -> String { "\(inner(folder))/lock" }
  static func epoch(_ folder: String, _ epoch: Int64) -> String { "\(inner(folder))/epoch-\(epoch)" }
  static func manifest(_ folder: String, _ epoch: Int64) -> String { "\(inner(folder))/manifest-\(epoch)" }
  static func attempts(_ folder: String, _ epoch: Int64) -> String { "\(inner(folder))/attempts-\(epoch)" }
  static func ledgers(_ folder: String) -> String { "\(inner(folder))/ledgers" }
  static func ledger(_ folder: String, _ epoch: Int64, _ index: Int64) -> String {
    "\(ledgers(folder))/\(epoch)-\(index)"
  }
  /// What the lock says while a writer lives, and after it died; its process may stand behind.
  static func holder(_ job: String, _ epoch: Int64) -> String { "job \(job) (writer epoch \(epoch))" }
  static func process(_ processID: Int32?) -> String { processID.map { ", pid \($0)" } ?? "" }

  /// The numbers behind a prefix among names, ascending.
  static func numbers(_ prefix: String, in names: [String]) -> [Int64] {
    names.compactMap { $0.hasPrefix(prefix) ? Int64($0.dropFirst(prefix.count)) : nil }.filter { $0 > 0 }.sorted()
  }
}

/// The manifest of an output folder, as its one writer has it.
///
/// How a predecessor is kept out, also one that was only paused and wakes up: it is a process that holds files open and
/// may be about to write to them, rename them or append to its manifest.
/// - The lock refuses a second writer while the first lives. A predecessor whose lock we got by the very file it had locked
///   is dead. Where that file is another (somebody removed it) the predecessor may live, and its open files are copied, so
///   that what it still writes goes to files that nobody reads.
/// - Names of files carry the epoch, and so does the manifest's: nothing that a predecessor makes, renames or removes has
///   a name of ours.
/// - A takeover first renames `epoch-7` to `epoch-8`, then reads `manifest-7`. A writer looks for its `epoch-7` after each
///   entry that counts: where it is still there, the successor has read the entry or will; where not, nobody can say, and
///   the writer stops without an answer.
///
/// Belongs to one loop at a time.
final class FolderManifest {
  /// Sizes at which the manifest is made smaller.
  struct Limits: Sendable {
    /// Bytes of the manifest, beyond those of four snapshots.
    var bytes: Int64 = 1 << 20
    /// Placed files that go into a ledger together.
    var placedFiles = 1024
  }

  let folder: String
  private(set) var state: FolderState
  private let files: any FileStore
  private let limits: Limits
  private let journal: Journal
  private let lock: any FileLock
  private var snapshotBytes: Int64

  private init(
    _ folder: String, _ state: FolderState, _ files: any FileStore, _ limits: Limits, _ journal: Journal,
    _ lock: any FileLock
  ) {
    self.folder = folder
    self.state = state
    self.files = files
    self.limits = limits
    self.journal = journal
    self.lock = lock
    snapshotBytes = journal.byteCount
  }

  /// What a takeover found.
  struct Predecessor {
    var state: FolderState
    /// Whether it certainly lives no more.
    var isDead: Bool
    /// Bytes behind its last whole entry.
    var tailBytes: Int64
  }

  /// Locks the folder, raises the epoch, reads what the predecessor left, and begins a manifest of its own.
  ///
  /// - Parameter settle: brings the files into the state that the manifest says, before the new manifest begins with what
  ///   it returns; called with the new epoch. The predecessor can decide nothing any more by then.
  /// - Throws: `FileStreamingError.folderInUse`, `folderOfAnotherJob`, `damagedManifest`, `FileError`, `JournalError`.
  static func takeOver(
    _ folder: String, job: String, processID: Int32? = nil, in files: any FileStore, limits: Limits = Limits(),
    settle: (_ predecessor: Predecessor?, _ epoch: Int64) throws -> FolderState?
  ) throws -> FolderManifest {
    try files.createDirectories(FolderLayout.ledgers(folder))
    let lockPath = FolderLayout.lock(folder)
    // Before it is locked, since that writes into it.
    let lastHolder = try files.attributes(lockPath) == nil ? "" : String(try files.contents(of: lockPath))
    let lock: any FileLock
    do throws(FileError) {
      lock = try files.lock(lockPath, holder: "job \(job)" + FolderLayout.process(processID))
    } catch {
      guard case .locked(let holder) = error.code else { throw error }
      throw FileStreamingError.folderInUse(folder, holder: holder)
    }
    let inner = FolderLayout.inner(folder)
    let before = try files.list(inner)
    let epochs = FolderLayout.numbers("epoch-", in: before)
    let epoch = max(epochs.last ?? 0, FolderLayout.numbers("manifest-", in: before).last ?? 0) + 1
    if let last = epochs.last {
      do throws(FileError) {
        try files.rename(FolderLayout.epoch(folder, last), to: FolderLayout.epoch(folder, epoch))
      } catch {
        // Somebody else has raised it since it was listed, past a lock that was removed.
        guard error.code == .notFound else { throw error }
        throw FileStreamingError.fenced(folder)
      }
    } else {
      _ = try files.open(FolderLayout.epoch(folder, epoch), .create)
    }
    try files.syncDirectory(inner)

    // From here on no entry of the predecessor counts that is not read now.
    let names = try files.list(inner)
    let old = FolderLayout.numbers("manifest-", in: names)
    var predecessor: Predecessor?
    if let last = old.last {
      let (state, scan) = try read(FolderLayout.manifest(folder, last), in: files)
      if let state {
        guard state.job == job else { throw FileStreamingError.folderOfAnotherJob(folder, job: state.job) }
        predecessor = Predecessor(
          state: state, isDead: lastHolder.hasPrefix(FolderLayout.holder(state.job, state.epoch)),
          tailBytes: scan.tailBytes)
      }
    }
    var state = try settle(predecessor, epoch) ?? FolderState(job: job, epoch: epoch)
    state.epoch = epoch
    let path = FolderLayout.manifest(folder, epoch)
    try files.replace(path, with: Journal.encoded(ManifestEntry.snapshot(state).journalEntry))
    try files.syncDirectory(inner)
    for name in names where isLeftover(name, epoch) {
      try files.removeTree("\(inner)/\(name)")
    }
    try lock.update(holder: FolderLayout.holder(job, epoch) + FolderLayout.process(processID))
    let (journal, _) = try Journal.open(path, in: files) { _, _ in }
    let manifest = FolderManifest(folder, state, files, limits, journal, lock)
    try manifest.checkEpoch()
    return manifest
  }

  /// Manifests, attempts and half-written files of earlier epochs.
  private static func isLeftover(_ name: String, _ epoch: Int64) -> Bool {
    for prefix in ["manifest-", "attempts-"] where name.hasPrefix(prefix) {
      return name != "\(prefix)\(epoch)"
    }
    return false
  }

  /// What a manifest says; nil where it says nothing, which only one can that was never finished.
  static func read(
    _ path: String, in files: any FileStore, each: ((ManifestEntry, FolderState) throws(ManifestMisfit) -> Void)? = nil
  ) throws -> (FolderState?, JournalScan) {
    var state: FolderState?
    var misfit: ManifestMisfit?
    let scan = try Journal.scan(path, in: files) { entry, position throws(JournalError) in
      guard misfit == nil else { return }
      let entry = try ManifestEntry(entry, at: position, of: path)
      do throws(ManifestMisfit) {
        if var now = state {
          try each?(entry, now)
          // In place, so that its files are not copied with every entry.
          state = nil
          try now.apply(entry)
          state = now
        } else if case .snapshot(let first) = entry {
          state = first
        } else {
          throw ManifestMisfit("it does not begin with a snapshot")
        }
      } catch {
        misfit = error
      }
    }
    if let misfit { throw FileStreamingError.damagedManifest(path, reason: misfit.reason) }
    return (state, scan)
  }

  var epoch: Int64 { state.epoch }

  /// Whether nobody can say what the end of the manifest holds.
  var isBroken: Bool { journal.isBroken }

  /// Appends an entry and takes over what it says.
  func append(_ entry: ManifestEntry, sync: Bool) throws {
    do throws(ManifestMisfit) {
      try state.check(entry)
    } catch {
      throw FileStreamingError.outOfOrder(folder, reason: error.reason)
    }
    try journal.append(entry.journalEntry, sync: sync)
    do throws(ManifestMisfit) {
      try state.apply(entry)
    } catch {
      throw FileStreamingError.outOfOrder(folder, reason: error.reason)
    }
  }

  /// Appends an entry and carries it past a power loss together with what it tells of. Where that fails, the entry counts
  /// all the same until another takes it back.
  func append(_ entry: ManifestEntry, syncedWith others: [any File]) throws {
    try append(entry, sync: false)
    try journal.sync(with: others)
  }

  /// Writes the manifest anew, as far as it is known, after a failure that left its end unknown: what failed is not in it.
  /// Only where that was no decision.
  func rewrite() throws {
    try journal.rewrite([ManifestEntry.snapshot(state).journalEntry])
    snapshotBytes = journal.byteCount
    try checkEpoch()
  }

  /// Carries past a power loss what was appended without a sync.
  func sync() throws { try journal.sync() }

  /// Fails where a successor has taken over.
  func checkEpoch() throws {
    guard try files.attributes(FolderLayout.epoch(folder, epoch)) != nil else {
      throw FileStreamingError.fenced(folder)
    }
  }

  /// Makes the manifest small again where it has grown: what happened becomes what is, and placed files go to a ledger.
  func compactIfLarge() throws {
    guard journal.byteCount > max(limits.bytes, 4 * snapshotBytes) else { return }
    var next = state
    let placed = next.files(.placed)
    if placed.count >= limits.placedFiles {
      let index = next.ledgers.last.flatMap { $0.epoch == epoch ? $0.count : nil } ?? 0
      try files.replace(
        FolderLayout.ledger(folder, epoch, index), with: Journal.encoded(FileLedger(placed).journalEntry))
      try files.syncDirectory(FolderLayout.ledgers(folder))
      if index == 0 {
        next.ledgers.append(FolderState.Ledger(epoch: epoch, count: 1))
      } else {
        next.ledgers[next.ledgers.count - 1].count += 1
      }
      for file in placed { next.files[file.number] = nil }
    }
    try journal.rewrite([ManifestEntry.snapshot(next).journalEntry])
    state = next
    snapshotBytes = journal.byteCount
  }

  func unlock() { lock.unlock() }
}
