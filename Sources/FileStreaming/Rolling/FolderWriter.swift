import Codecs
import Datasets
import Groundwork
import Journals
import SystemInterfaces

/// Writes the files of an output folder: the I/O of a rolling sink, call by call, each of which blocks.
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
  private let log: @Sendable (String) -> Void
  let manifest: FolderManifest
  /// Open files that have a handle, which is the less costly the more batches they see.
  private var handles: [Int64: any File] = [:]
  /// Files that may have bytes behind their committed length.
  private var tails: Set<Int64> = []
  /// Which open file of a directory takes the next bytes.
  private var current: [String: Int64] = [:]
  /// The batch that is prepared and not decided.
  private var pending: Prepared?
  /// Whether a power loss may take the last commit, which was decided elsewhere.
  private var isCommitLoose = false
  /// Set by `recover` or by being the decider: no batch can come twice.
  var isSettled = false

  init(_ settings: Settings, files: any FileStore, log: @escaping @Sendable (String) -> Void) throws {
    self.settings = settings
    self.files = files
    self.log = log
    manifest = try FolderRecovery.takeOver(settings, in: files, log: log)
    for file in state.files(.open) { current[file.directory] = file.number }
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
    if state.prepared != nil, pending == nil {
      // Of a run before, and nobody has settled it: the job runs the batch again.
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
        try sync(&work)
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

  /// A batch that is being prepared.
  private struct PrepareWork {
    let batch: BatchIdentity
    var changes: [Int64: FileChange] = [:]
    var made: [Int64] = []
    /// Written, and synced together: one after the other they would take the disk's time one after the other.
    var unsynced: [any File] = []
    /// How many may be open for it.
    static let unsyncedMax = 64

    init(_ batch: BatchIdentity) { self.batch = batch }
  }

  private func sync(_ work: inout PrepareWork) throws {
    for case let error? in files.sync(work.unsynced) { throw error }
    work.unsynced = []
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

  /// Appends to the files of one directory, one after the other.
  private struct DirectoryWriter {
    let owner: FolderWriter
    let directory: String
    var number: Int64
    var file: any File
    var change: FileChange
    var crc: CRC32C
    var queue: [Bytes] = []
    var queued: Int64 = 0
    var madeFiles = false

    init(_ owner: FolderWriter, _ directory: String, _ work: inout PrepareWork) throws {
      self.owner = owner
      self.directory = directory
      if let open = owner.current[directory], let stored = owner.state.files[open], stored.phase == .open {
        number = open
        file = try owner.handle(of: stored)
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
      owner.tails.insert(number)
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
      owner.keep(file, number)
      if work.unsynced.count >= PrepareWork.unsyncedMax { try owner.sync(&work) }
    }
  }

  /// An open file, cut to what counts.
  private func handle(of stored: OutputFile) throws -> any File {
    let file = try handles[stored.number] ?? files.open(absolute(stored.hiddenPath), .readWrite)
    if tails.contains(stored.number) {
      // Synced, since the file may be closed without a further write: a power loss must not bring the tail back.
      try file.truncate(to: stored.length)
      try file.sync()
      tails.remove(stored.number)
    }
    return file
  }

  /// Keeps a handle for the next batch, unless there are too many already.
  private func keep(_ file: any File, _ number: Int64) {
    if handles[number] != nil || handles.count < settings.rolling.openFilesMax { handles[number] = file }
  }

  private func makeFile(in directory: String, _ work: inout PrepareWork) throws -> (Int64, any File) {
    var number = state.nextNumber
    func name(_ number: Int64) -> String { "part-\(padded(manifest.epoch, 5))-\(padded(number, 8))\(settings.ending)" }
    var new = OutputFile(number: number, directory: directory, name: name(number))
    // What lies there already, left by whoever removed the manifest, is never replaced.
    while try files.attributes(absolute(new.path)) != nil || files.attributes(absolute(new.hiddenPath)) != nil {
      number += 1
      new = OutputFile(number: number, directory: directory, name: name(number))
    }
    if !directory.isEmpty { try files.createDirectories(absolute(directory)) }
    try manifest.append(.created(epoch: manifest.epoch, [new]), sync: false)
    work.made.append(number)
    return (number, try files.open(absolute(new.hiddenPath), .create))
  }

  private func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  /// Has the batch close the files that are too old, and of too many those that were written least recently.
  private func closeOverdue(_ work: inout PrepareWork) {
    func close(_ file: OutputFile) {
      work.changes[
        file.number,
        default: FileChange(
          number: file.number, length: file.length, crc: file.crc, records: file.records, closes: true)
      ].closes = true
    }
    let open = state.files(.open).filter { $0.batches > 0 || work.changes[$0.number] != nil }
    for file in open where file.batches > 0 && isOld(file, at: work.batch.time.milliseconds) { close(file) }
    var left = open.filter { work.changes[$0.number]?.closes != true }
    // Those of the batch itself come last; among them the order of their numbers decides, that of their directories.
    func age(_ file: OutputFile) -> (Int64, Int64) {
      (work.changes[file.number] == nil ? file.lastBatch : Int64.max, file.number)
    }
    left.sort { age($0) < age($1) }
    for file in left.dropLast(min(left.count, settings.rolling.openFilesMax)) { close(file) }
  }

  private func isOld(_ file: OutputFile, at time: Int64) -> Bool {
    time - file.opened >= settings.rolling.age.inMilliseconds
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
      try manifest.append(.batch(epoch: manifest.epoch, change), sync: true)
    } catch {
      if manifest.isBroken { return .unknown(error) }
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
    // A power loss may take the entry: `recover` brings it back, where somebody calls it.
    try manifest.append(.committed(epoch: manifest.epoch, batch: prepared.change.batch), sync: !isSettled)
    isCommitLoose = isSettled
    committed(prepared.change)
    try manifest.checkEpoch()
  }

  private func committed(_ change: BatchChange) {
    if pending?.change.batch == change.batch { pending = nil }
    for file in change.files {
      tails.remove(file.number)
      if let stored = state.files[file.number] {
        if stored.phase == .open {
          current[stored.directory] = file.number
        } else {
          forget(stored)
        }
      }
    }
  }

  private func forget(_ file: OutputFile) {
    handles[file.number] = nil
    if current[file.directory] == file.number { current[file.directory] = nil }
  }

  /// Drops what is prepared; nothing where it is committed or dropped already. What cannot be undone now is logged, and
  /// done before the file is used again.
  func abort(_ prepared: Prepared) {
    guard pending?.change.batch == prepared.change.batch else { return }
    pending = nil
    guard isDroppable(prepared.change.batch) else { return }
    takeBack(touched: prepared.change.files.map(\.number), made: prepared.made)
  }

  /// Drops a batch in the manifest, where it is prepared there; false where nobody can say that it is not.
  private func isDroppable(_ batch: Int64) -> Bool {
    if manifest.isBroken { return false }
    guard state.prepared?.batch == batch else { return true }
    do {
      try manifest.append(.dropped(epoch: manifest.epoch, batch: batch), sync: false)
      return true
    } catch {
      log("\(error)")
      return false
    }
  }

  /// Cuts files to what counts and removes those to which nothing was committed.
  private func takeBack(touched: [Int64], made: [Int64]) {
    do {
      for number in touched.sorted() where !made.contains(number) {
        if let stored = state.files[number], stored.phase == .open, tails.contains(number) {
          _ = try handle(of: stored)
        }
      }
      var removed: [Int64] = []
      for number in made.sorted() {
        guard let stored = state.files[number], stored.batches == 0 else { continue }
        handles[number] = nil
        if try files.attributes(absolute(stored.hiddenPath)) != nil {
          try files.removeFile(absolute(stored.hiddenPath))
        }
        tails.remove(number)
        removed.append(number)
      }
      if !removed.isEmpty { try manifest.append(.removed(epoch: manifest.epoch, removed), sync: false) }
    } catch {
      log("\(settings.folder): what a failed batch left could not be removed yet: \(error)")
    }
  }

  private func dropPrepared() throws {
    guard let prepared = state.prepared else { return }
    try manifest.append(.dropped(epoch: manifest.epoch, batch: prepared.batch), sync: true)
    for file in prepared.files where file.length > state.files[file.number]?.length ?? 0 { tails.insert(file.number) }
    takeBack(
      touched: prepared.files.map(\.number),
      made: prepared.files.map(\.number).filter { state.files[$0]?.batches == 0 })
    for file in prepared.files {
      if let stored = state.files[file.number], stored.phase == .open, stored.batches > 0 {
        current[stored.directory] = file.number
      } else {
        for (directory, number) in current where number == file.number { current[directory] = nil }
      }
    }
  }

  // MARK: Recovery

  /// Settles what an earlier run left prepared.
  /// - Parameter decided: the last decided batch, nil where there is none.
  func recover(through decided: Int64?) throws {
    if let prepared = state.prepared, pending == nil {
      if let decided, prepared.batch <= decided {
        try checkIsWhole(prepared)
        try manifest.append(.committed(epoch: manifest.epoch, batch: prepared.batch), sync: true)
        committed(prepared)
        try manifest.checkEpoch()
      } else {
        try dropPrepared()
      }
    }
    guard state.lastBatch == 0 || decided ?? 0 >= state.lastBatch else {
      guard settings.acceptsRepeats else {
        throw FileStreamingError.folderAhead(settings.folder, committed: state.lastBatch, decided: decided)
      }
      log(
        "\(settings.folder) holds batches up to \(state.lastBatch), of which the job does not know: some may come again"
      )
      return isSettled = false
    }
    isSettled = true
  }

  /// Fails where what was decided elsewhere is not there.
  private func checkIsWhole(_ prepared: BatchChange) throws {
    for change in prepared.files {
      guard let stored = state.files[change.number] else { continue }
      let path = absolute(stored.hiddenPath)
      let size = try files.attributes(path)?.size ?? 0
      guard size >= change.length else {
        throw FileStreamingError.damagedFile(path, reason: "it has \(size) bytes, \(change.length) were committed")
      }
    }
  }

  // MARK: Rolling

  /// Gives closed files their names and keeps the manifest small. Called after each commit, and again after a failure.
  func settle() throws {
    let closed = state.files(.closed)
    if !closed.isEmpty {
      // A file may have its name only where the manifest will say, whatever happens, that it is closed.
      if isCommitLoose { try manifest.sync() }
      isCommitLoose = false
      // What is closed in a manifest that a successor has not read is not closed.
      try manifest.checkEpoch()
      for file in closed {
        if tails.contains(file.number) { try FolderRecovery.cut(file, to: file.length, settings.folder, files) }
        tails.remove(file.number)
        forget(file)
      }
      try FolderRecovery.place(closed, settings.folder, files)
      try manifest.append(.placed(epoch: manifest.epoch, closed.map(\.number)), sync: false)
    }
    try manifest.compactIfLarge()
  }

  /// Closes the files that are too old at a batch's time, with or without input in it.
  func closeAged(at time: Timestamp) throws {
    try close { isOld($0, at: time.milliseconds) }
  }

  /// Closes all files: the job ends.
  func closeAll() throws { try close { _ in true } }

  private func close(_ isDue: (OutputFile) -> Bool) throws {
    var busy = Set((pending?.change ?? state.prepared)?.files.map(\.number) ?? [])
    busy.formUnion(pending?.made ?? [])
    let due = state.files(.open).filter { $0.batches > 0 && !busy.contains($0.number) && isDue($0) }
    if !due.isEmpty {
      // What a failed batch left behind must be gone before the file is complete.
      for file in due where tails.contains(file.number) {
        try FolderRecovery.cut(file, to: file.length, settings.folder, files)
        tails.remove(file.number)
      }
      try manifest.append(.closed(epoch: manifest.epoch, due.map(\.number)), sync: true)
      for file in due { forget(file) }
      try manifest.checkEpoch()
    }
    try settle()
  }

  /// The batch time, in milliseconds, at which the next file is too old; the greatest number where none is open.
  var nextDue: Int64 {
    let opened = state.files.values.reduce(Int64.max) {
      $1.phase == .open && $1.batches > 0 ? min($0, $1.opened) : $0
    }
    let (due, overflow) = opened.addingReportingOverflow(settings.rolling.age.inMilliseconds)
    return overflow ? .max : due
  }

  /// Gives the folder up.
  func unlock() { manifest.unlock() }
}
