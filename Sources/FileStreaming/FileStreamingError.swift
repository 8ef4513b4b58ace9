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
  /// The folder was not written by `saveToFiles`.
  case noManifest(String)
  /// Another process writes to the output folder.
  case folderInUse(String, holder: String)
  /// The output folder holds what a job of that name has written.
  case folderOfAnotherJob(String, job: String)
  /// Another instance has taken over the output folder while this one was paused, or cut off from it.
  case fenced(String)
  /// The manifest is intact entry by entry, but says what cannot be.
  case damagedManifest(String, reason: String)
  /// A file has less than the manifest says was committed to it, or other bytes.
  case damagedFile(String, reason: String)
  /// A call that does not fit the state of the output folder.
  case outOfOrder(String, reason: String)
  /// The output folder has committed more than the job knows of.
  case folderAhead(String, committed: Int64, decided: Int64?)
  /// A batch was prepared for another's decision, of which the manifest does not know.
  case unsettled(String, batch: Int64)

  /// Mostly the caller's: a path or a length that cannot be.
  public var fault: Fault {
    switch self {
    case .noFileStore, .outOfOrder: .ours
    case .damagedObjectFile, .damagedManifest, .damagedFile: .machine
    default: .user
    }
  }
  /// Never: the same files give the same answer.
  public var isRetriable: Bool { false }
  /// Mostly: the context is as before. Not where the output folder is another's, or not what its manifest says.
  public var leavesUsable: Bool {
    switch self {
    case .folderInUse, .folderOfAnotherJob, .fenced, .damagedManifest, .damagedFile, .folderAhead, .unsettled: false
    default: true
    }
  }

  /// True where another instance writes to the folder now.
  public var needsRestart: Bool { if case .fenced = self { true } else { false } }

  /// What is wrong, and what to do.
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
    case .noManifest(let path):
      "\(path) has no manifest (\(FolderLayout.inside)): name a folder that saveToFiles or sluice etl writes to"
    case .folderInUse(let path, let holder):
      "\(path) is being written by \(holder): stop it, or write to another folder"
    case .folderOfAnotherJob(let path, let job):
      "\(path) holds what the job \(job) has written: give this job that name (--name) to go on with it, or another folder"
    case .fenced(let path):
      "another instance has taken over \(path): this one stops, and what it was writing there does not count"
    case .damagedManifest(let path, let reason):
      "\(path) says what cannot be (\(reason)): restore the folder from a backup, or write to another one"
    case .damagedFile(let path, let reason):
      "\(path) is not what was committed (\(reason)): `sluice files verify` tells more; restore it, or write to another "
        + "folder"
    case .outOfOrder(let path, let reason): "\(path): \(reason)"
    case .folderAhead(let path, let committed, let decided):
      "\(path) holds batches up to \(committed), but "
        + (decided.map { "the job knows of none after \($0)" } ?? "the job knows of none")
        + ", so that going on would write them twice: start it with the checkpoint it had, or write to another folder"
    case .unsettled(let path, let batch):
      "\(path) holds batch \(batch), prepared by a run of this job whose batches were decided elsewhere: start the job "
        + "once as it was then, with the same outputs and settings"
    }
  }
}
