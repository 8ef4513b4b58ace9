import Codecs
import Datasets
import Groundwork
import SystemInterfaces

/// The folder that an RDD is saved in: part files, and `_SUCCESS` when all are there; the names are Spark's.
///
/// Attempts write below `_temporary`; of each partition the file of the first attempt that succeeded is moved out of it
/// when all partitions are done, and the rest is removed.
struct OutputFolder: Sendable {
  let path: String
  let files: any FileStore

  private var temporary: String { "\(path)/_temporary" }

  /// Makes the folder.
  /// - Throws: `FileStreamingError.outputExists`, `FileError`.
  init(making path: String, files: any FileStore) throws {
    guard try files.attributes(path) == nil else { throw FileStreamingError.outputExists(path) }
    self.path = path
    self.files = files
    try files.createDirectories(temporary)
  }

  /// One attempt of a task: `write` fills the file; where it throws nothing is left.
  func attempt(
    _ task: TaskContext, codec: CompressionCodec, _ write: (inout AttemptFile) throws -> Void
  ) throws -> AttemptFile.Written? {
    let name = "\(temporary)/stage-\(task.stage)-part-\(task.partition)-attempt-\(task.attempt)"
    do {
      var file = try AttemptFile(name, of: task, codec: codec, files: files)
      try write(&file)
      let output = try file.finish()
      task.recordsWritten += output.records
      return output.payload as? AttemptFile.Written
    } catch {
      // It may never have been made.
      try? files.removeFile(name)
      throw error
    }
  }

  /// Moves the files into place.
  func commit(_ parts: [AttemptFile.Written]) throws {
    try parts.move(into: path, in: files)
    try files.syncDirectory(OutputFolder.parent(of: path))
    removeTemporary()
  }

  /// Attempts that lost may still make a file there: what stays is hidden from readers.
  private func removeTemporary() {
    for _ in 0..<3 where (try? files.removeTree(temporary)) == nil { continue }
  }

  /// Removes everything: the job has failed.
  func abandon() {
    for _ in 0..<3 where (try? files.removeTree(path)) == nil { continue }
  }

  static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
