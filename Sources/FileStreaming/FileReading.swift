import Codecs
import Datasets
import Groundwork
import Streaming
import SystemInterfaces

/// How a file is compressed, by the end of its name.
enum FileCompression {
  /// `.gz`, `.zst`, `.lz4`; everything else is read as it is.
  static func of(_ path: String) -> CompressionCodec {
    if path.hasSuffix(".gz") { return .gzip }
    if path.hasSuffix(".zst") || path.hasSuffix(".zstd") { return .zstd }
    return path.hasSuffix(".lz4") ? .lz4 : .none
  }

  /// The end of the names of files in a codec.
  static func ending(_ codec: CompressionCodec) throws(FileStreamingError) -> String {
    switch codec {
    case .none: return ""
    case .gzip: return ".gz"
    case .zstd: return ".zst"
    case .lz4: return ".lz4"
    // The framing that Hadoop's tools expect of a .snappy file is another than Kafka's.
    case .snappy: throw .unsupportedCodec(codec.name)
    }
  }

  /// The most that a compressed file may hold where it has to be inflated at once (zstd, lz4): 4 GiB.
  static var sizeMax: Int { 4 << 30 }

  /// Calls `body` with the content, piece by piece.
  static func read(
    _ file: InputFile, in files: any FileStore, _ task: TaskContext, _ body: (Bytes) throws -> Void
  ) throws {
    let content = try file.contents(in: files)
    if content.isEmpty { return }
    switch of(file.path) {
    case .none: try body(content)
    case .gzip:
      let reader = try GzipReader(content, limit: .max)
      while let piece = try reader.next() { try body(piece) }
    case let codec:
      let workspace = task.locals.object(CodecWorkspace.self) { CodecWorkspace() }
      try body(workspace.decompress(content, with: codec, limit: sizeMax))
    }
  }
}

/// Reads the lines of splits in a task.
enum LineReading {
  /// Bytes read at a time.
  static let pieceSize: Int64 = 256 << 10

  /// The lines whose first byte lies in the split, in chunks. So every line of a file is read by one split, whichever
  /// way it was cut.
  static func read(
    _ split: FileSplit, in files: any FileStore, _ task: TaskContext,
    _ emit: (UnsafeBufferPointer<Bytes>) throws -> Void
  ) throws {
    var output = Chunk<Bytes>()
    func take(_ line: Bytes) throws {
      output.append(line)
      task.recordsRead += 1
      if output.count == Chunk<Bytes>.usualCapacity {
        try emit(output.view)
        output.clear()
      }
    }
    if FileCompression.of(split.file.path) == .none {
      try readPlain(split, in: files, take)
    } else {
      var lines = LineCutter()
      try FileCompression.read(split.file, in: files, task) { try lines.feed($0, take) }
      try lines.finish(take)
    }
    if output.count > 0 { try emit(output.view) }
  }

  private static func readPlain(
    _ split: FileSplit, in files: any FileStore, _ take: (Bytes) throws -> Void
  ) throws {
    let file = try split.file.open(in: files)
    // A line begins at the split's first byte where the byte before it is a line feed.
    var position = max(0, split.range.lowerBound - 1)
    var lines = LineCutter(
      position: position, limit: split.range.upperBound, skipsFirst: split.range.lowerBound > 0)
    while position < split.file.size, !lines.isDone {
      let piece = try file.read(at: position, count: Int(min(pieceSize, split.file.size - position)))
      guard !piece.isEmpty else { throw FileStreamingError.fileChanged(split.file.path) }
      position += Int64(piece.count)
      try lines.feed(piece, take)
    }
    try lines.finish(take)
  }
}
