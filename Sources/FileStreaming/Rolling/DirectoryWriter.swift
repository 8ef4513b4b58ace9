import Datasets
import Groundwork
import Journals
import SystemInterfaces

/// A batch that is being prepared.
struct PrepareWork {
  let batch: BatchIdentity
  var changes: [Int64: FileChange] = [:]
  var made: [Int64] = []
  /// Written, and synced together: one after the other they would take the disk's time one after the other.
  var unsynced: [any File] = []
  /// How many may be open for it.
  static let unsyncedMax = 64

  init(_ batch: BatchIdentity) { self.batch = batch }

  mutating func sync(_ files: any FileStore) throws {
    for case let error? in files.sync(unsynced) { throw error }
    unsynced = []
  }
}

/// Appends to the files of one directory, one after the other.
struct DirectoryWriter {
  let owner: FolderWriter
  let directory: String
  /// The file that takes the next bytes.
  private var number: Int64
  private var file: any File
  private var change: FileChange
  private var crc: CRC32C
  /// Bytes that go into it with the next write.
  private var queue: [Bytes] = []
  private var queued: Int64 = 0
  /// Whether a file of the directory is new.
  private(set) var madeFiles = false

  init(_ owner: FolderWriter, _ directory: String, _ work: inout PrepareWork) throws {
    self.owner = owner
    self.directory = directory
    if let open = owner.openFiles.current(of: directory), let stored = owner.state.files[open], stored.phase == .open {
      number = open
      file = try owner.openFiles.handle(of: stored)
      change = FileChange(
        number: open, length: stored.length, crc: stored.crc, records: stored.records, closes: false)
      crc = CRC32C(continuing: stored.crc)
      work.changes[number] = change
    } else {
      (number, file) = try owner.makeFile(in: directory, &work)
      change = FileChange(number: number, length: 0, crc: 0, records: 0, closes: false)
      crc = CRC32C()
      madeFiles = true
      work.changes[number] = change
      add(owner.settings.header)
    }
  }

  private mutating func add(_ bytes: Bytes) {
    guard !bytes.isEmpty else { return }
    crc.add(bytes)
    queue.append(bytes)
    queued += Int64(bytes.count)
  }

  mutating func append(_ pieces: [FilePiece], _ attempt: String?, _ work: inout PrepareWork) throws {
    var source: (any File)?
    for piece in pieces {
      if change.length + queued >= owner.settings.rolling.size { try next(&work) }
      switch piece.content {
      case .memory(let bytes): add(bytes)
      case .spilled(let position, let count):
        let from = try source ?? owner.files.open(attempt ?? "", .read)
        source = from
        var done = 0
        while done < count {
          let bytes = try from.read(at: position + Int64(done), count: min(1 << 20, count - done))
          guard !bytes.isEmpty else { throw FileStreamingError.fileChanged(attempt ?? "") }
          done += bytes.count
          add(bytes)
          if queued >= 8 << 20 { try flush() }
        }
      }
      change.records += piece.records
      if queue.count >= 64 || queued >= 64 << 20 { try flush() }
    }
  }

  private mutating func flush() throws {
    guard queued > 0 else { return }
    owner.openFiles.tailBegins(number)
    try file.write(at: change.length, queue)
    change.length += queued
    queue.removeAll(keepingCapacity: true)
    queued = 0
  }

  /// Closes the file, which is large enough, and begins the next.
  private mutating func next(_ work: inout PrepareWork) throws {
    change.closes = true
    try finish(&work)
    (number, file) = try owner.makeFile(in: directory, &work)
    change = FileChange(number: number, length: 0, crc: 0, records: 0, closes: false)
    crc = CRC32C()
    madeFiles = true
    work.changes[number] = change
    add(owner.settings.header)
  }

  mutating func finish(_ work: inout PrepareWork) throws {
    try flush()
    change.crc = crc.value
    if change.length >= owner.settings.rolling.size { change.closes = true }
    work.changes[number] = change
    work.unsynced.append(file)
    owner.openFiles.keep(file, of: number)
    if work.unsynced.count >= PrepareWork.unsyncedMax { try work.sync(owner.files) }
  }
}
