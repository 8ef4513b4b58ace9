import Groundwork
import SystemInterfaces

/// The number of a checkpoint folder's writer, as the name of a file in it, `epoch-7`, which changes by renaming only, one
/// step a start.
///
/// The folder's lock keeps a second process out while the first lives. Where the lock was lost (somebody removed it, or the
/// file system does not keep it from one machine to another) the first may only have stood still: it looks for its number
/// before it writes, and stops where a successor has taken the folder over.
///
/// Belongs to the driver's loop.
package struct WriterEpoch {
  private static let prefix = "epoch-"
  private let directory: String
  private let path: String
  private let files: any FileStore

  /// Takes the folder over: from now on every earlier writer stops.
  /// - Throws: `StreamingError.checkpoint` where somebody else takes it over at the same time; `FileError`.
  init(of directory: String, _ files: any FileStore) throws {
    let last = try files.list(directory).compactMap { name in
      name.hasPrefix(WriterEpoch.prefix) ? Int64(name.dropFirst(WriterEpoch.prefix.count)) : nil
    }.max()
    let path = "\(directory)/\(WriterEpoch.prefix)\((last ?? 0) + 1)"
    if let last {
      do throws(FileError) {
        try files.rename("\(directory)/\(WriterEpoch.prefix)\(last)", to: path)
      } catch {
        guard error.code == .notFound else { throw error }
        throw WriterEpoch.takenOver(directory)
      }
    } else {
      _ = try files.open(path, .create)
    }
    try files.syncDirectory(directory)
    self.directory = directory
    self.path = path
    self.files = files
  }

  /// Fails where a successor has taken the folder over. One look at the folder.
  package func check() throws(StreamingError) {
    let isThere: Bool
    do throws(FileError) { isThere = try files.attributes(path) != nil } catch {
      throw .checkpoint("the checkpoint folder \(directory) cannot be used: \(error)")
    }
    if !isThere { throw WriterEpoch.takenOver(directory) }
  }

  private static func takenOver(_ directory: String) -> StreamingError {
    .takenOver(
      "another instance of the job has taken over the checkpoint folder \(directory): this one stops, and what it was "
        + "doing does not count")
  }
}
