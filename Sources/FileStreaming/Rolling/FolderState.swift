import Groundwork

/// A file of an output folder, as the manifest has it: only its first `length` bytes count.
package struct OutputFile: Equatable, Sendable {
  /// Where a file is in its life.
  package enum Phase: UInt8, Sendable {
    /// Hidden, and written to; next closed, or gone where nothing was ever committed to it.
    case open
    /// Complete; its renaming may not have happened yet, or not durably. Next placed.
    case closed
    /// It has its final name for good.
    case placed
  }
  /// Unique in the folder.
  package var number: Int64
  /// Below the output folder; empty for the folder itself.
  package var directory: String
  /// The final name, without the directory.
  package var name: String
  package var phase = Phase.open
  /// Bytes that count.
  package var length: Int64 = 0
  /// CRC-32C of those bytes.
  package var crc: UInt32 = 0
  package var records: Int64 = 0
  /// The first and the last batch that wrote to it, and how many did; 0 before the first commit.
  package var firstBatch: Int64 = 0
  package var lastBatch: Int64 = 0
  package var batches: Int64 = 0
  /// The time of the first batch, in milliseconds: its age counts from there.
  package var opened: Int64 = 0

  /// The final path, relative to the output folder.
  package var path: String { directory.isEmpty ? name : "\(directory)/\(name)" }
  /// Where it stands while it is open: no reader of folders looks at names that begin with a dot.
  package var hiddenPath: String { directory.isEmpty ? ".\(name).part" : "\(directory)/.\(name).part" }
}

/// What a batch does to one file.
struct FileChange: Equatable, Sendable {
  var number: Int64
  /// Of the whole file, with this batch.
  var length: Int64
  var crc: UInt32
  var records: Int64
  /// Whether the batch is the last one in the file.
  var closes: Bool
}

/// What a batch does to the folder.
struct BatchChange: Equatable, Sendable {
  var batch: Int64
  /// The batch's time in milliseconds.
  var time: Int64
  /// The batch before it in this folder, 0 where there is none: so that a lost entry is found.
  var previous: Int64
  /// What the engine keeps with the decision.
  var record: Bytes
  /// Whether the writer's batches were settled at its start, so that none can come twice.
  var isExact: Bool
  /// By number.
  var files: [FileChange]

  /// Records that the batch adds, given the files before it.
  func recordsAdded(to state: FolderState) -> Int64 {
    files.reduce(0) { $0 + $1.records - (state.files[$1.number]?.records ?? 0) }
  }
}

/// What the manifest of an output folder says, entry by entry; a value, so that a writer, a recovery and `sluice files`
/// come to the same answer.
struct FolderState: Equatable, Sendable {
  /// The job that writes here.
  var job: String
  /// The writer's number: every start has a greater one, and what an older one appends is void.
  var epoch: Int64
  /// The last batch that counts, 0 where there is none, its time, and what the engine kept with it.
  var lastBatch: Int64 = 0
  var lastTime: Int64 = 0
  var record = Bytes()
  /// Batches and records that count, and parts of files that they wrote: sums over all time.
  var batches: Int64 = 0
  var records: Int64 = 0
  var parts: Int64 = 0
  /// The number that the next file gets.
  var nextNumber: Int64 = 1
  /// The files that the manifest itself tells of: all that are not placed, and the placed ones that are in no ledger.
  var files: [Int64: OutputFile] = [:]
  /// Prepared for another's decision, and neither committed nor dropped.
  var prepared: BatchChange?
  /// The ledgers of placed files that the manifest has dropped: so many of each epoch.
  var ledgers: [Ledger] = []

  struct Ledger: Equatable, Sendable {
    var epoch: Int64
    var count: Int64
  }

  /// The files in a phase, by number.
  func files(_ phase: OutputFile.Phase) -> [OutputFile] {
    files.values.filter { $0.phase == phase }.sorted { $0.number < $1.number }
  }

  /// Fails where an entry does not fit what was said before; one of another epoch is void, and fits.
  func check(_ entry: ManifestEntry) throws(ManifestMisfit) {
    guard entry.epoch == epoch else { return }
    switch entry {
    case .snapshot, .dropped: break
    case .created(_, let new):
      for file in new where files[file.number] != nil { throw ManifestMisfit("file \(file.number) is made twice") }
    case .removed(_, let numbers):
      for number in numbers where files[number]?.length ?? 0 != 0 {
        throw ManifestMisfit("file \(number) is dropped with content")
      }
    case .batch(_, let change): try checkCommit(change)
    case .prepared(_, let change): try checkFiles(change)
    case .committed(_, let batch):
      guard let change = prepared, change.batch == batch else {
        throw ManifestMisfit("batch \(batch) is committed and was not prepared")
      }
      try checkCommit(change)
    case .closed(_, let numbers):
      for number in numbers where files[number]?.phase != .open {
        throw ManifestMisfit("file \(number) is closed and was not open")
      }
    case .placed(_, let numbers):
      for number in numbers where files[number]?.phase != .closed {
        throw ManifestMisfit("file \(number) is placed and was not closed")
      }
    }
  }

  private func checkFiles(_ change: BatchChange) throws(ManifestMisfit) {
    for file in change.files {
      guard let old = files[file.number], old.phase == .open, file.length >= old.length, file.records >= old.records
      else { throw ManifestMisfit("batch \(change.batch) writes to file \(file.number), which is not open or longer") }
    }
  }

  private func checkCommit(_ change: BatchChange) throws(ManifestMisfit) {
    try checkFiles(change)
    guard change.previous == lastBatch else {
      throw ManifestMisfit(
        "batch \(change.batch) follows batch \(change.previous), but batch \(lastBatch) stands before it")
    }
    guard !change.isExact || change.batch > lastBatch else {
      throw ManifestMisfit("batch \(change.batch) comes again behind batch \(lastBatch)")
    }
  }

  /// Takes over what an entry says; the state is as before where it does not fit.
  /// - Returns: false where the entry is void: of another epoch.
  @discardableResult
  mutating func apply(_ entry: ManifestEntry) throws(ManifestMisfit) -> Bool {
    try check(entry)
    if case .snapshot(let state) = entry {
      self = state
      return true
    }
    guard entry.epoch == epoch else { return false }
    switch entry {
    case .snapshot: break
    case .created(_, let new):
      for file in new {
        files[file.number] = file
        nextNumber = max(nextNumber, file.number + 1)
      }
    case .removed(_, let numbers): for number in numbers { files[number] = nil }
    case .batch(_, let change): commit(change)
    case .prepared(_, let change): prepared = change
    case .committed:
      if let change = prepared {
        prepared = nil
        commit(change)
      }
    case .dropped(_, let batch): if prepared?.batch == batch { prepared = nil }
    case .closed(_, let numbers): for number in numbers { files[number]?.phase = .closed }
    case .placed(_, let numbers): for number in numbers { files[number]?.phase = .placed }
    }
    return true
  }

  private mutating func commit(_ change: BatchChange) {
    records += change.recordsAdded(to: self)
    batches += 1
    for file in change.files {
      guard var old = files[file.number] else { continue }
      if file.length > old.length {
        if old.batches == 0 {
          old.firstBatch = change.batch
          old.opened = change.time
        }
        old.lastBatch = change.batch
        old.batches += 1
        parts += 1
        old.length = file.length
        old.crc = file.crc
        old.records = file.records
      }
      if file.closes { old.phase = .closed }
      files[file.number] = old
    }
    lastBatch = change.batch
    lastTime = max(lastTime, change.time)
    record = change.record
  }
}

/// An entry that says what cannot be, given those before it.
struct ManifestMisfit: Error, Equatable {
  var reason: String
  init(_ reason: String) { self.reason = reason }
}
