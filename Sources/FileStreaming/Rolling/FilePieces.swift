import Codecs
import Datasets
import Groundwork
import SystemInterfaces

/// A run of whole records of one file, as a task hands it over: ready to be written, compressed by itself.
struct FilePiece: Sendable {
  enum Content: Sendable {
    case memory(Bytes)
    /// Bytes of the task's attempt file.
    case spilled(position: Int64, count: Int)
  }
  var content: Content
  var records: Int64

  var count: Int {
    switch content {
    case .memory(let bytes): bytes.count
    case .spilled(_, let count): count
    }
  }
}

/// What a task hands over: its pieces by directory, in the order of its records.
struct FilePieces: Sendable {
  struct Place: Sendable {
    var directory: String
    var pieces: [FilePiece]
  }
  /// In the order in which the task met them.
  var places: [Place]
  /// Where the spilled pieces stand; nil where none.
  var attemptPath: String?
}

/// What a task writes to one directory.
@usableFromInline final class PlaceBuffer {
  /// Records that are encoded and not compressed yet.
  @usableFromInline var writer: ByteWriter
  let key: Bytes
  let directory: String
  /// Records in `writer`.
  var pending: Int64 = 0
  var pieces: [FilePiece] = []

  init(key: Bytes, directory: String) {
    self.key = key
    self.directory = directory
    writer = ByteWriter(capacity: 4096)
  }
}

/// Gathers what one task attempt writes, directory by directory.
///
/// The way of a record's bytes: encoded into a buffer of 1 MiB or so (the one copy); that buffer is handed over as it is,
/// or compressed into another; the driver's side gives the buffers of all tasks to the kernel in one gathering write,
/// in the order of the partitions. So nothing is read back from a disk, and a batch that fails has written nothing.
/// Only where a task holds more than `memoryMax`, it writes its pieces to an attempt file, from which they are copied.
@usableFromInline struct PieceWriter: ~Copyable {
  /// Bytes of a piece before it is compressed.
  static var pieceSize: Int { 1 << 20 }

  private let codec: CompressionCodec
  private let workspace: CodecWorkspace?
  private let memoryMax: Int
  private let files: any FileStore
  private let attemptPath: String
  private var attempt: (any File)?
  private var attemptSize: Int64 = 0
  private var buffers: [PlaceBuffer] = []
  /// Open addressing over `buffers`; its size is a power of two, at least twice their number. -1 is free.
  private var table: [Int32] = Array(repeating: -1, count: 16)
  private var last: PlaceBuffer?
  /// Bytes of finished pieces that are in memory.
  private var held = 0
  private var records = 0

  /// - Parameter attemptPath: where pieces are written that do not fit into memory.
  init(codec: CompressionCodec, memoryMax: Int, attemptPath: String, files: any FileStore, _ task: TaskContext) {
    self.codec = codec
    self.memoryMax = memoryMax
    self.files = files
    self.attemptPath = attemptPath
    workspace = codec == .none ? nil : task.locals.object(CodecWorkspace.self) { CodecWorkspace() }
  }

  /// The buffer of a key; `directory` is asked at the first sight of it. No allocation for a key that is known.
  @usableFromInline mutating func buffer(
    for key: borrowing ByteWriter, directory: () -> String
  ) -> PlaceBuffer {
    if let last, PieceWriter.isEqual(last.key, key) { return last }
    let found = place(of: key)
    if let index = found.index {
      last = buffers[index]
      return buffers[index]
    }
    let buffer = PlaceBuffer(key: key.copyBytes(), directory: directory())
    buffers.append(buffer)
    table[found.slot] = Int32(buffers.count - 1)
    if buffers.count * 2 > table.count { grow() }
    last = buffer
    return buffer
  }

  private func place(of key: borrowing ByteWriter) -> (slot: Int, index: Int?) {
    var slot = PieceWriter.hash(key) & (table.count - 1)
    while table[slot] >= 0 {
      let index = Int(table[slot])
      if PieceWriter.isEqual(buffers[index].key, key) { return (slot, index) }
      slot = (slot + 1) & (table.count - 1)
    }
    return (slot, nil)
  }

  private mutating func grow() {
    table = Array(repeating: -1, count: table.count * 2)
    for (index, buffer) in buffers.enumerated() {
      var slot = buffer.key.withUnsafeBytes { PieceWriter.hash($0) } & (table.count - 1)
      while table[slot] >= 0 { slot = (slot + 1) & (table.count - 1) }
      table[slot] = Int32(index)
    }
  }

  private static func hash(_ key: borrowing ByteWriter) -> Int { key.withUnsafeBytes { hash($0) } }

  private static func hash(_ key: UnsafeRawBufferPointer) -> Int {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return Int(truncatingIfNeeded: hash ^ (hash >> 32)) & Int.max
  }

  private static func isEqual(_ a: Bytes, _ b: borrowing ByteWriter) -> Bool {
    guard a.count == b.count else { return false }
    return a.withUnsafeBytes { a in b.withUnsafeBytes { b in a.elementsEqual(b) } }
  }

  /// Says how many records were just encoded into a buffer.
  @usableFromInline mutating func added(_ count: Int, to buffer: PlaceBuffer) throws {
    buffer.pending += Int64(count)
    records += count
    if buffer.writer.count >= PieceWriter.pieceSize { try finish(buffer) }
  }

  private mutating func finish(_ buffer: PlaceBuffer) throws {
    guard buffer.writer.count > 0 else { return }
    let bytes: Bytes
    if let workspace {
      var compressed = ByteWriter(capacity: buffer.writer.count / 2 + 64)
      try buffer.writer.withUnsafeBytes { try workspace.compress($0, with: codec, into: &compressed) }
      buffer.writer.removeAll()
      bytes = compressed.finish()
    } else {
      // The next piece is likely to be as large, where this one was full.
      var full = ByteWriter(capacity: buffer.writer.count >= PieceWriter.pieceSize ? PieceWriter.pieceSize + 4096 : 64)
      swap(&full, &buffer.writer)
      bytes = full.finish()
    }
    buffer.pieces.append(FilePiece(content: .memory(bytes), records: buffer.pending))
    buffer.pending = 0
    held += bytes.count
    if held > memoryMax { try spill() }
  }

  /// Moves all finished pieces to the attempt file.
  private mutating func spill() throws {
    let file = try attempt ?? makeAttempt()
    attempt = file
    for buffer in buffers {
      for index in buffer.pieces.indices {
        guard case .memory(let bytes) = buffer.pieces[index].content else { continue }
        try file.write(at: attemptSize, bytes)
        buffer.pieces[index].content = .spilled(position: attemptSize, count: bytes.count)
        attemptSize += Int64(bytes.count)
      }
    }
    held = 0
  }

  private func makeAttempt() throws -> any File {
    if let slash = attemptPath.lastIndex(of: "/") { try files.createDirectories(String(attemptPath[..<slash])) }
    return try files.open(attemptPath, .create)
  }

  /// What the task hands over.
  consuming func finish() throws -> TaskOutput {
    for buffer in buffers { try finish(buffer) }
    // A task that met no element has a buffer and no piece.
    let places = buffers.filter { !$0.pieces.isEmpty }.map {
      FilePieces.Place(directory: $0.directory, pieces: $0.pieces)
    }
    let bytes = places.reduce(0) { $0 + $1.pieces.reduce(0) { $0 + $1.count } }
    let path = attempt == nil ? nil : attemptPath
    return TaskOutput(records: records, bytes: bytes, payload: FilePieces(places: places, attemptPath: path))
  }
}
