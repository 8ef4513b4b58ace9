import Groundwork
import Journals

/// One step in the life of an output folder. All but the snapshot carry the writer's epoch.
///
/// In the journal: version 1, a byte that says which kind, then the fields in the order of the cases, numbers big-endian,
/// texts and lists with a 4-byte length in front.
enum ManifestEntry: Equatable, Sendable {
  /// Everything so far: the first entry of every manifest.
  case snapshot(FolderState)
  /// Files are about to be made, so that a recovery knows what to remove. Not synced.
  case created(epoch: Int64, [OutputFile])
  /// Files were removed to which nothing was ever committed.
  case removed(epoch: Int64, [Int64])
  /// A batch is decided: this entry is the decision.
  case batch(epoch: Int64, BatchChange)
  /// A batch's bytes are durable; somebody else decides.
  case prepared(epoch: Int64, BatchChange)
  /// The prepared batch counts.
  case committed(epoch: Int64, batch: Int64)
  /// The prepared batch does not count.
  case dropped(epoch: Int64, batch: Int64)
  /// Files are complete as they stand.
  case closed(epoch: Int64, [Int64])
  /// Closed files have their names for good.
  case placed(epoch: Int64, [Int64])

  static let version: UInt16 = 1

  var epoch: Int64 {
    switch self {
    case .snapshot(let state): state.epoch
    case .created(let epoch, _), .removed(let epoch, _), .batch(let epoch, _), .prepared(let epoch, _),
      .committed(let epoch, _), .dropped(let epoch, _), .closed(let epoch, _), .placed(let epoch, _):
      epoch
    }
  }

  var journalEntry: JournalEntry {
    var writer = ByteWriter()
    switch self {
    case .snapshot(let state):
      writer.append(UInt8(1))
      writer.append(state)
    case .created(let epoch, let files):
      writer.append(kind: 2, epoch)
      writer.append(files)
    case .removed(let epoch, let numbers):
      writer.append(kind: 3, epoch)
      writer.append(numbers)
    case .batch(let epoch, let change):
      writer.append(kind: 4, epoch)
      writer.append(change)
    case .prepared(let epoch, let change):
      writer.append(kind: 5, epoch)
      writer.append(change)
    case .committed(let epoch, let batch):
      writer.append(kind: 6, epoch)
      writer.append(bigEndian: batch)
    case .dropped(let epoch, let batch):
      writer.append(kind: 7, epoch)
      writer.append(bigEndian: batch)
    case .closed(let epoch, let numbers):
      writer.append(kind: 8, epoch)
      writer.append(numbers)
    case .placed(let epoch, let numbers):
      writer.append(kind: 9, epoch)
      writer.append(numbers)
    }
    return JournalEntry(version: Self.version, payload: writer.finish())
  }

  /// - Parameters:
  ///   - position: of the entry in its file, for errors.
  ///   - path: the file.
  init(_ entry: JournalEntry, at position: Int64, of path: String) throws(JournalError) {
    guard entry.version == Self.version else {
      throw JournalError(.unsupportedVersion(entry.version, position: position), path: path)
    }
    do throws(PayloadMalformed) {
      self = try Self.read(entry.payload)
    } catch {
      throw JournalError(.malformedEntry(position: position), path: path)
    }
  }

  private static func read(_ payload: Bytes) throws(PayloadMalformed) -> ManifestEntry {
    var reader = PayloadReader(payload)
    let kind = try reader.integer(UInt8.self)
    let entry: ManifestEntry
    if kind == 1 {
      entry = .snapshot(try reader.folderState())
    } else {
      let epoch = try reader.integer(Int64.self)
      switch kind {
      case 2: entry = .created(epoch: epoch, try reader.outputFiles())
      case 3: entry = .removed(epoch: epoch, try reader.numbers())
      case 4: entry = .batch(epoch: epoch, try reader.batchChange())
      case 5: entry = .prepared(epoch: epoch, try reader.batchChange())
      case 6: entry = .committed(epoch: epoch, batch: try reader.integer())
      case 7: entry = .dropped(epoch: epoch, batch: try reader.integer())
      case 8: entry = .closed(epoch: epoch, try reader.numbers())
      case 9: entry = .placed(epoch: epoch, try reader.numbers())
      default: throw PayloadMalformed()
      }
    }
    guard reader.remaining == 0 else { throw PayloadMalformed() }
    return entry
  }
}

/// Placed files that the manifest has dropped, so that opening it stays quick: written once, never changed.
struct FileLedger: Equatable, Sendable {
  /// By number.
  var files: [OutputFile]

  static let version: UInt16 = 1

  var journalEntry: JournalEntry {
    var writer = ByteWriter()
    writer.append(files)
    return JournalEntry(version: Self.version, payload: writer.finish())
  }

  init(_ files: [OutputFile]) { self.files = files }

  init(_ entry: JournalEntry, of path: String) throws(JournalError) {
    guard entry.version == Self.version else {
      throw JournalError(.unsupportedVersion(entry.version, position: 0), path: path)
    }
    do throws(PayloadMalformed) {
      var reader = PayloadReader(entry.payload)
      files = try reader.outputFiles()
    } catch {
      throw JournalError(.malformedEntry(position: 0), path: path)
    }
  }
}

extension ByteWriter {
  fileprivate mutating func append(kind: UInt8, _ epoch: Int64) {
    append(kind)
    append(bigEndian: epoch)
  }

  fileprivate mutating func append(_ numbers: [Int64]) {
    append(bigEndian: UInt32(numbers.count))
    for number in numbers { append(bigEndian: number) }
  }

  fileprivate mutating func append(_ files: [OutputFile]) {
    append(bigEndian: UInt32(files.count))
    for file in files {
      append(bigEndian: file.number)
      append(field: file.directory)
      append(field: file.name)
      append(file.phase.rawValue)
      append(bigEndian: file.crc)
      for number in [
        file.length, file.records, file.firstBatch, file.lastBatch, file.batches, file.opened,
      ] { append(bigEndian: number) }
    }
  }

  fileprivate mutating func append(_ change: BatchChange) {
    append(bigEndian: change.batch)
    append(bigEndian: change.time)
    append(bigEndian: change.previous)
    append(field: change.record)
    append(UInt8(change.isExact ? 1 : 0))
    append(bigEndian: UInt32(change.files.count))
    for file in change.files {
      append(bigEndian: file.number)
      append(bigEndian: file.length)
      append(bigEndian: file.crc)
      append(bigEndian: file.records)
      append(UInt8(file.closes ? 1 : 0))
    }
  }

  fileprivate mutating func append(_ state: FolderState) {
    append(field: state.job)
    for number in [
      state.epoch, state.lastBatch, state.lastTime, state.batches, state.records, state.parts, state.nextNumber,
    ] { append(bigEndian: number) }
    append(field: state.record)
    append(state.files.values.sorted { $0.number < $1.number })
    append(UInt8(state.prepared == nil ? 0 : 1))
    if let prepared = state.prepared { append(prepared) }
    append(bigEndian: UInt32(state.ledgers.count))
    for ledger in state.ledgers {
      append(bigEndian: ledger.epoch)
      append(bigEndian: ledger.count)
    }
  }
}

extension PayloadReader {
  fileprivate mutating func numbers() throws(PayloadMalformed) -> [Int64] {
    var numbers: [Int64] = []
    for _ in 0..<(try count(ofElementsOfAtLeast: 8)) { numbers.append(try integer()) }
    return numbers
  }

  fileprivate mutating func outputFiles() throws(PayloadMalformed) -> [OutputFile] {
    var files: [OutputFile] = []
    for _ in 0..<(try count(ofElementsOfAtLeast: 69)) {
      var file = OutputFile(number: try integer(), directory: try text(), name: try text())
      guard let phase = OutputFile.Phase(rawValue: try integer(UInt8.self)) else { throw PayloadMalformed() }
      file.phase = phase
      file.crc = try integer()
      file.length = try integer()
      file.records = try integer()
      file.firstBatch = try integer()
      file.lastBatch = try integer()
      file.batches = try integer()
      file.opened = try integer()
      files.append(file)
    }
    return files
  }

  fileprivate mutating func batchChange() throws(PayloadMalformed) -> BatchChange {
    var change = BatchChange(
      batch: try integer(), time: try integer(), previous: try integer(), record: try bytes(),
      isExact: try integer(UInt8.self) != 0, files: [])
    for _ in 0..<(try count(ofElementsOfAtLeast: 29)) {
      change.files.append(
        FileChange(
          number: try integer(), length: try integer(), crc: try integer(), records: try integer(),
          closes: try integer(UInt8.self) != 0))
    }
    return change
  }

  fileprivate mutating func folderState() throws(PayloadMalformed) -> FolderState {
    var state = FolderState(job: try text(), epoch: try integer())
    state.lastBatch = try integer()
    state.lastTime = try integer()
    state.batches = try integer()
    state.records = try integer()
    state.parts = try integer()
    state.nextNumber = try integer()
    state.record = try bytes()
    for file in try outputFiles() { state.files[file.number] = file }
    if try integer(UInt8.self) != 0 { state.prepared = try batchChange() }
    for _ in 0..<(try count(ofElementsOfAtLeast: 16)) {
      state.ledgers.append(FolderState.Ledger(epoch: try integer(), count: try integer()))
    }
    return state
  }
}
