import Groundwork
import SystemInterfaces

/// The files of an output folder that are being written: their handles, which of them may have bytes that count for
/// nothing, and which takes the next bytes of its directory.
///
/// Belongs to one loop at a time.
final class OpenFiles {
  private let folder: String
  private let files: any FileStore
  private let handlesMax: Int
  /// A handle is the less costly the more batches it sees.
  private var handles: [Int64: any File] = [:]
  /// Files that may have bytes behind their committed length.
  private var tails: Set<Int64> = []
  /// Which open file of a directory takes the next bytes.
  private var current: [String: Int64] = [:]

  /// - Parameters:
  ///   - state: whose open files are gone on with.
  ///   - handlesMax: how many handles are kept from one batch to the next.
  init(_ folder: String, _ state: FolderState, in files: any FileStore, handlesMax: Int) {
    self.folder = folder
    self.files = files
    self.handlesMax = handlesMax
    for file in state.files(.open) { current[file.directory] = file.number }
  }

  // MARK: Which file

  /// The file that takes the next bytes of a directory.
  func current(of directory: String) -> Int64? { current[directory] }

  /// The file takes the next bytes of its directory.
  func goOn(with file: OutputFile) { current[file.directory] = file.number }

  /// The file takes no further bytes.
  func forget(_ file: OutputFile) {
    handles[file.number] = nil
    if current[file.directory] == file.number { current[file.directory] = nil }
  }

  // MARK: Handles

  /// An open file, cut to what counts.
  func handle(of stored: OutputFile) throws -> any File {
    let file = try handles[stored.number] ?? files.open("\(folder)/\(stored.hiddenPath)", .readWrite)
    if tails.contains(stored.number) {
      // Synced, since the file may be closed without a further write: a power loss must not bring the tail back.
      try file.truncate(to: stored.length)
      try file.sync()
      tails.remove(stored.number)
    }
    return file
  }

  /// Keeps a handle for the next batch, unless there are too many already.
  func keep(_ file: any File, of number: Int64) {
    if handles[number] != nil || handles.count < handlesMax { handles[number] = file }
  }

  // MARK: Tails

  /// Bytes are written that count for nothing yet.
  func tailBegins(_ number: Int64) { tails.insert(number) }

  /// What was written counts, or is gone.
  func tailEnds(_ number: Int64) { tails.remove(number) }

  /// Cuts a file to what counts, where it may have more.
  func cutTail(of stored: OutputFile) throws {
    if tails.contains(stored.number) { _ = try handle(of: stored) }
  }

  /// As `cutTail`, of a file that is complete and takes no further bytes.
  func cutTailForGood(of stored: OutputFile) throws {
    guard tails.contains(stored.number) else { return }
    try FolderRecovery.cut(stored, to: stored.length, folder, files)
    tails.remove(stored.number)
  }

  /// Removes a file to which nothing was committed.
  func remove(_ stored: OutputFile) throws {
    handles[stored.number] = nil
    let path = "\(folder)/\(stored.hiddenPath)"
    if try files.attributes(path) != nil { try files.removeFile(path) }
    tails.remove(stored.number)
  }
}
