import Groundwork
import Journals
import SystemInterfaces

/// What the manifest of an output folder says, read without its lock and without changing anything: for `sluice files`,
/// also while a job writes.
package struct FolderReport: Sendable {
  /// The output folder.
  package let directory: String
  /// The job that writes, or wrote, to it.
  package let job: String
  /// The number of its last start.
  package let epoch: Int64
  /// The last batch that counts, 0 where there is none, and how many do.
  package let lastBatch: Int64
  package let batches: Int64
  /// Records that count.
  package let records: Int64
  /// The files that hold something that counts, by number.
  package let committed: [OutputFile]
  /// The batch that is prepared for another's decision.
  package let preparedBatch: Int64?
  /// Bytes behind the last whole entry: torn by a crash, or being written now.
  package let tailBytes: Int64
  /// What is wrong with the manifest and its ledgers.
  package private(set) var problems: [String] = []
  private let files: any FileStore
  private let known: Set<String>
  private let marks: [Int64: [Mark]]

  /// What a file was after a batch, as far back as the manifest tells of single batches.
  private struct Mark: Sendable {
    var batch: Int64
    var length: Int64
    var crc: UInt32
  }

  /// - Throws: `FileStreamingError` where there is no manifest or it says what cannot be, `FileError`, `JournalError`.
  package init(directory: String, files: any FileStore) throws {
    var attempt = 0
    while true {
      do {
        self = try FolderReport(once: directory, files)
        return
      } catch {
        // A start or a compaction renames what is being read.
        let isGone = (error as? FileError)?.code == .notFound || Self.isNotFound(error)
        guard isGone, attempt < 5 else { throw error }
        attempt += 1
      }
    }
  }

  private static func isNotFound(_ error: any Error) -> Bool {
    if case .file(.notFound, _)? = (error as? JournalError)?.code { true } else { false }
  }

  private init(once directory: String, _ files: any FileStore) throws {
    let inner = FolderLayout.inner(directory)
    guard try files.attributes(inner) != nil,
      let last = FolderLayout.numbers("manifest-", in: try files.list(inner)).last
    else { throw FileStreamingError.noManifest(directory) }
    var marks: [Int64: [Mark]] = [:]
    let (read, scan) = try FolderManifest.read(FolderLayout.manifest(directory, last), in: files) { entry, before in
      let change: BatchChange?
      switch entry {
      case .batch(_, let batch): change = batch
      case .committed: change = before.prepared
      default: change = nil
      }
      guard let change, entry.epoch == before.epoch else { return }
      for file in change.files where file.length > before.files[file.number]?.length ?? 0 {
        marks[file.number, default: []].append(Mark(batch: change.batch, length: file.length, crc: file.crc))
      }
    }
    guard let state = read else { throw FileStreamingError.noManifest(directory) }
    self.directory = directory
    self.files = files
    self.marks = marks
    job = state.job
    epoch = state.epoch
    lastBatch = state.lastBatch
    batches = state.batches
    records = state.records
    preparedBatch = state.prepared?.batch
    tailBytes = scan.tailBytes
    var found = state.files.values.filter { $0.batches > 0 }
    var problems: [String] = []
    for run in state.ledgers {
      for index in 0..<run.count {
        let path = FolderLayout.ledger(directory, run.epoch, index)
        if let entry = try Journal.first(of: path, in: files) {
          found += try FileLedger(entry, of: path).files
        } else {
          problems.append("\(path) is gone or damaged: the files it told of are not known")
        }
      }
    }
    committed = found.sorted { $0.number < $1.number }
    known = Set(state.files.values.map(\.path)).union(committed.map(\.path))
    for (file, next) in zip(committed, committed.dropFirst()) where file.number == next.number {
      problems.append("\(file.path) and \(next.path) have one number, \(file.number): batches are there twice")
    }
    let held = committed.reduce((records: 0, parts: 0)) { ($0.records + $1.records, $0.parts + $1.batches) }
    if problems.isEmpty, held.records != state.records || held.parts != state.parts {
      problems.append(
        "the files hold \(held.records) records in \(held.parts) parts of batches, committed were \(state.records) in "
          + "\(state.parts)")
    }
    self.problems = problems
  }

  // MARK: Verify

  /// What `verify` found.
  package struct Verification: Sendable {
    /// What is damaged, missing or twice; empty where nothing is.
    package var problems: [String] = []
    /// What is odd and does no harm.
    package var notes: [String] = []
    /// Files that were removed after they were complete, by whoever uses the folder.
    package var removed = 0
    /// Files, bytes and records that were read and found as committed.
    package var files = 0
    package var bytes: Int64 = 0
    package var records: Int64 = 0
  }

  /// Reads every committed byte and compares it with the manifest. O(bytes).
  ///
  /// Rolled files belong to whoever uses the folder, and the old ones may be removed: that a file is gone is no damage
  /// where it had its final name for good and all older files of its directory are gone as well. One that is missing
  /// between others is.
  /// - Parameter isStrict: whether every file that is gone is damage.
  package func verify(isStrict: Bool = false) throws -> Verification {
    var result = Verification()
    result.problems = problems
    var removed: [OutputFile] = []
    /// Directories in which a file is still there.
    var holding: Set<String> = []
    for file in committed {
      switch try finding(file) {
      case .asCommitted:
        result.files += 1
        result.bytes += file.length
        result.records += file.records
      case .damaged(let problem): result.problems.append(problem)
      case .gone where file.phase == .placed && !isStrict && !holding.contains(file.directory):
        removed.append(file)
        continue
      case .gone:
        result.problems.append(
          "\(directory)/\(file.path) is gone: batches \(file.firstBatch) to \(file.lastBatch) had \(file.records) "
            + "records in it")
        continue
      }
      holding.insert(file.directory)
    }
    if let first = removed.map(\.firstBatch).min(), let last = removed.map(\.lastBatch).max() {
      let records = removed.reduce(0) { $0 + $1.records }
      result.removed = removed.count
      result.notes.append(
        "\(removed.count) files of batches \(first) to \(last) with \(records) records are gone (removed after they were "
          + "complete)")
    }
    try checkStrangers(&result)
    if tailBytes > 0 {
      result.notes.append(
        "the manifest ends in \(tailBytes) bytes of an entry that was not finished, or is being written")
    }
    return result
  }

  private enum Finding {
    case asCommitted, gone
    case damaged(String)
  }

  private func finding(_ file: OutputFile) throws -> Finding {
    let final = "\(directory)/\(file.path)"
    let hidden = "\(directory)/\(file.hiddenPath)"
    // A job may rename it just now.
    let places = file.phase == .placed ? [final] : [hidden, final, hidden]
    for path in places {
      do throws(FileError) {
        let handle = try files.open(path, .read)
        return try damage(of: file, path, handle).map { .damaged($0) } ?? .asCommitted
      } catch {
        guard error.code == .notFound else { return .damaged("\(path) cannot be read: \(error)") }
      }
    }
    return .gone
  }

  /// What is wrong with a file; nil where nothing.
  private func damage(of file: OutputFile, _ path: String, _ handle: any File) throws(FileError) -> String? {
    let size = try handle.size()
    let name = path.dropFirst(directory.count + 1)
    if size < file.length {
      let first = marks[file.number]?.first { $0.length > size }?.batch
      return "\(name) has \(size) bytes, \(file.length) were committed: "
        + (first.map { "it ends in batch \($0)" }
          ?? "some of batches \(file.firstBatch) to \(file.lastBatch) are missing")
    }
    // What is open may have more: the batch that is being written.
    if size > file.length, file.phase == .placed {
      return "\(name) has \(size) bytes, \(file.length) were committed: what follows them was never committed"
    }
    let marks = marks[file.number] ?? []
    var next = 0
    var crc = CRC32C()
    var position: Int64 = 0
    var good: Int64 = 0
    while position < file.length {
      let end = next < marks.count ? min(marks[next].length, file.length) : file.length
      let bytes = try handle.read(at: position, count: Int(min(1 << 20, end - position)))
      if bytes.isEmpty { return "\(name) ends at byte \(position) while it is read" }
      crc.add(bytes)
      position += Int64(bytes.count)
      if next < marks.count, position == marks[next].length {
        if crc.value != marks[next].crc {
          return
            "\(name) has other bytes than were committed, between \(good) and \(position): batch \(marks[next].batch)"
            + (next == 0 && file.firstBatch < marks[next].batch ? " or one before it" : "")
        }
        good = position
        next += 1
      }
    }
    if crc.value != file.crc {
      return "\(name) has other bytes than were committed, between \(good) and \(file.length): of batches "
        + "\(file.firstBatch) to \(file.lastBatch)"
    }
    return nil
  }

  /// Files that look like ours and are none: whoever reads the folder reads them as well.
  private func checkStrangers(_ result: inout Verification) throws {
    var strangers: [String] = []
    var leftovers = 0
    try visit("") { path, name in
      if name.hasPrefix("."), name.hasSuffix(".part") {
        let final = path.dropLast(name.count) + name.dropFirst().dropLast(5)
        if !isKnown(String(final)) { leftovers += 1 }
      } else if name.hasPrefix("part-"), !isKnown(path) {
        strangers.append(path)
      }
    }
    if !strangers.isEmpty {
      // A job may have made and closed it since.
      let again = try FolderReport(directory: directory, files: files)
      for path in strangers where !again.isKnown(path) {
        result.problems.append("\(path) is in no batch: it was never committed")
      }
    }
    if leftovers > 0 {
      result.notes.append("\(leftovers) hidden files belong to no batch, or to one that is being written")
    }
  }

  private func isKnown(_ path: String) -> Bool { known.contains(path) }

  private func visit(_ folder: String, _ body: (_ path: String, _ name: String) -> Void) throws {
    let absolute = folder.isEmpty ? directory : "\(directory)/\(folder)"
    for name in try files.list(absolute) where !(folder.isEmpty && name == FolderLayout.inside) {
      let path = folder.isEmpty ? name : "\(folder)/\(name)"
      guard let attributes = try files.attributes("\(directory)/\(path)") else { continue }
      if attributes.isDirectory { try visit(path, body) } else { body(path, name) }
    }
  }
}
