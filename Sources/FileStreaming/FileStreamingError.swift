import Groundwork

/// Why files cannot be a dataset, or a dataset cannot become files. What the file system itself refuses is a `FileError`.
public enum FileStreamingError: DiagnosableError, Equatable {
  /// No file matches the path.
  case noInput(String)
  /// A folder to be read holds another folder.
  case folderInFolder(String)
  /// The folder to be written exists.
  case outputExists(String)
  /// The file is shorter than when it was chosen, or gone.
  case fileChanged(String)
  /// Fixed-length records do not fill the file.
  case unevenLength(path: String, size: Int64, recordLength: Int)
  /// A length that no record can have.
  case invalidRecordLength(Int)
  /// Not what `saveAsObjectFile` wrote, from that byte on.
  case damagedObjectFile(path: String, position: Int64, reason: String)
  /// An element whose encoding is larger than an object file takes.
  case elementTooLarge(Int)
  /// A codec that files are not written in.
  case unsupportedCodec(String)
  /// The context was made without files.
  case noFileStore

  public var fault: Fault {
    switch self {
    case .noFileStore: .ours
    case .damagedObjectFile: .machine
    default: .user
    }
  }
  public var isRetriable: Bool { false }
  public var leavesUsable: Bool { true }

  public var description: String {
    switch self {
    case .noInput(let path): "no file matches \(path): check the path; names that begin with . or _ are not looked at"
    case .folderInFolder(let path):
      "\(path) is a folder inside a folder that is read: name it by itself, or by a pattern such as folder/*/*"
    case .outputExists(let path): "the folder \(path) exists: remove it or choose another, nothing is written over"
    case .fileChanged(let path):
      "\(path) was cut or removed while it was in use: move files in when they are complete, and leave them alone"
    case .unevenLength(let path, let size, let length):
      "\(path) has \(size) bytes, which is no multiple of the record length of \(length): check the length"
    case .invalidRecordLength(let length): "a record length of \(length) bytes is not possible: choose 1 or more"
    case .damagedObjectFile(let path, let position, let reason):
      "\(path) is not an object file from byte \(position) on (\(reason)): was it written by saveAsObjectFile, with "
        + "elements of this type?"
    case .elementTooLarge(let count):
      "an element of \(count) bytes is too large for an object file, which takes 32 MiB: save it as text, or in parts"
    case .unsupportedCodec(let name): "files are not written as \(name): choose gzip, zstd, lz4 or none"
    case .noFileStore: "this context has no files: make it through a StreamingContext"
    }
  }
}
