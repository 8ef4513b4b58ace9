import Codecs
import Datasets
import Groundwork
import SystemInterfaces

/// A file that one task attempt writes, through a buffer that is compressed block by block: a gzip member, a zstd frame
/// or an lz4 frame each.
struct AttemptFile: ~Copyable {
  /// A finished attempt file.
  struct Written: Sendable {
    var path: String
    /// The name that it is to have.
    var name: String
  }

  /// Bytes gathered before they are written.
  private static let bufferSize = 1 << 20

  private let path: String
  private let name: String
  private let codec: CompressionCodec
  private let workspace: CodecWorkspace?
  private let file: any File
  private var buffer: ByteWriter
  private var written: Int64 = 0
  private var records = 0

  /// - Parameters:
  ///   - path: where the attempt writes.
  ///   - codec: what the content is compressed with; the final name ends accordingly.
  init(
    _ path: String, of task: TaskContext, codec: CompressionCodec = .none, files: any FileStore
  ) throws {
    let ending = try FileCompression.ending(codec)
    let file = try files.open(path, .create)
    let digits = String(task.partition)
    self.path = path
    self.codec = codec
    self.file = file
    name = "part-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ending
    workspace = codec == .none ? nil : task.locals.object(CodecWorkspace.self) { CodecWorkspace() }
    buffer = ByteWriter(capacity: AttemptFile.bufferSize + 4096)
  }

  /// Appends what `encode` writes.
  /// - Parameter records: how many records that is.
  mutating func append(records count: Int = 1, _ encode: (inout ByteWriter) throws -> Void) throws {
    try encode(&buffer)
    records += count
    if buffer.count >= AttemptFile.bufferSize { try flush() }
  }

  private mutating func flush() throws {
    guard buffer.count > 0 else { return }
    var bytes = buffer.copyBytes()
    if let workspace { bytes = try workspace.compress(bytes, with: codec) }
    try file.write(at: written, bytes)
    written += Int64(bytes.count)
    buffer.removeAll()
  }

  /// Writes what is left and syncs it: offsets are committed only after output that a power loss spares.
  consuming func finish() throws -> TaskOutput {
    try flush()
    try file.sync()
    return TaskOutput(records: records, bytes: Int(written), payload: Written(path: path, name: name))
  }
}

extension Array where Element == AttemptFile.Written {
  /// Moves the files into a folder under their final names; those that are there already stay.
  ///
  /// Called again after a failure, it goes on where it stopped.
  func move(into folder: String, in files: any FileStore) throws(FileError) {
    for part in self {
      let final = "\(folder)/\(part.name)"
      if try files.attributes(part.path) != nil {
        try files.rename(part.path, to: final)
      } else if try files.attributes(final) == nil {
        throw FileError(.notFound, path: part.path, operation: "rename")
      }
    }
    // The marker may say that all is there only when a power loss spares the names.
    try files.syncDirectory(folder)
    _ = try files.open("\(folder)/_SUCCESS", .create)
    try files.syncDirectory(folder)
  }
}
