import Groundwork
import SystemInterfaces

/// A small append-only log of versioned, checksummed entries: the durable memory of whoever must find, after a death at
/// any byte, all that was confirmed and nothing half written.
///
/// It opens with a forward scan that stops at the first bad entry and cuts the rest off; it shrinks by `rewrite`, which
/// writes a new file and renames it into place. Appended entries survive the death of the process; those appended with
/// `sync` survive a power loss.
///
/// Belongs to one loop or one thread at a time; it is not safe to share.
public final class Journal {
  /// The largest version and payload, in bytes, that an entry may have.
  public static let entrySizeMax = 64 << 20

  /// The file, as it was named to `open`; errors carry it.
  public let path: String
  /// Bytes of the file.
  public private(set) var byteCount: Int64
  /// Entries in the file.
  public private(set) var entryCount: Int

  private let files: any FileStore
  private var file: any File
  /// The end of the file is unknown after a failed write that could not be undone, or a failed sync.
  public private(set) var isBroken = false

  private init(path: String, files: any FileStore, file: any File, scan: JournalScan) {
    self.path = path
    self.files = files
    self.file = file
    byteCount = scan.validBytes
    entryCount = scan.entryCount
  }

  /// Opens the journal at `path`, made if need be, and hands each intact entry to `replay`, in order.
  ///
  /// - Parameter replay: called with each entry and its position, which errors name.
  /// - Returns: the journal, and how many bytes of a torn or damaged tail were cut off (usually 0).
  /// - Throws: what the file system says, and what `replay` throws; then the file is left as it was.
  /// - Complexity: O(size).
  public static func open(
    _ path: String, in files: any FileStore,
    replay: (_ entry: JournalEntry, _ position: Int64) throws(JournalError) -> Void
  ) throws(JournalError) -> (journal: Journal, cutBytes: Int64) {
    do {
      // An empty one may be the work of a process that died before its name was durable.
      let isNew = try files.attributes(path).map { $0.size == 0 } ?? true
      let file = try files.open(path, .readWrite)
      if isNew { try files.syncDirectory(directory(of: path)) }
      let scan = try scan(file, replay)
      if scan.tailBytes > 0 {
        try file.truncate(to: scan.validBytes)
        try file.sync()
      }
      return (Journal(path: path, files: files, file: file, scan: scan), scan.tailBytes)
    } catch let error as FileError {
      throw JournalError(error)
    } catch let error as JournalError {
      throw error
    } catch {
      throw JournalError(.broken, path: path)
    }
  }

  /// Appends one entry.
  ///
  /// - Parameter sync: whether it must be past a power loss when the call returns.
  /// - Throws: where the write fails nothing of the entry remains; where the sync fails the journal is broken until it
  ///   is opened again, since nobody can say what the disk holds.
  public func append(_ entry: JournalEntry, sync: Bool) throws(JournalError) {
    try append([entry], sync: sync)
  }

  /// Appends several entries in one write: in order, but not all or none.
  public func append(_ entries: [JournalEntry], sync: Bool) throws(JournalError) {
    guard !isBroken else { throw JournalError(.broken, path: path) }
    var writer = ByteWriter()
    for entry in entries { try encode(entry, into: &writer) }
    let bytes = writer.finish()
    do throws(FileError) {
      try file.write(at: byteCount, bytes)
    } catch {
      // What was written of it is taken back, so that the next entry does not stand behind a torn one.
      do throws(FileError) { try file.truncate(to: byteCount) } catch { isBroken = true }
      throw JournalError(error)
    }
    byteCount += Int64(bytes.count)
    entryCount += entries.count
    if sync { try self.sync() }
  }

  /// Carries everything appended so far past a power loss.
  public func sync() throws(JournalError) {
    guard !isBroken else { throw JournalError(.broken, path: path) }
    do throws(FileError) {
      try file.sync()
    } catch {
      isBroken = true
      throw JournalError(error)
    }
  }

  /// As `sync`, and the same for other files, all at the same time where the store can.
  /// - Throws: the journal's own error, and it is broken then; else the first of the other files'.
  public func sync(with others: [any File]) throws(JournalError) {
    guard !isBroken else { throw JournalError(.broken, path: path) }
    let errors = files.sync([file] + others)
    if let own = errors.first, own != nil { isBroken = true }
    for case let error? in errors { throw JournalError(error) }
  }

  /// Replaces the content by `entries`: compaction, or rotation to an empty file. The new file is synced and renamed
  /// into place, so that a death at any moment leaves the old content or the new. O(size of the new content).
  public func rewrite(_ entries: [JournalEntry]) throws(JournalError) {
    var writer = ByteWriter()
    for entry in entries { try encode(entry, into: &writer) }
    let bytes = writer.finish()
    do throws(FileError) {
      try files.replace(path, with: bytes)
      try files.syncDirectory(Journal.directory(of: path))
      file = try files.open(path, .readWrite)
    } catch {
      // The old file may or may not have been replaced: only opening it again tells.
      isBroken = true
      throw JournalError(error)
    }
    isBroken = false
    byteCount = Int64(bytes.count)
    entryCount = entries.count
  }

  private func encode(_ entry: JournalEntry, into writer: inout ByteWriter) throws(JournalError) {
    let size = entry.payload.count + EntryLayout.versionSize
    guard size <= Journal.entrySizeMax else { throw JournalError(.entryTooLarge(size), path: path) }
    EntryLayout.append(entry, to: &writer)
  }

  private static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
