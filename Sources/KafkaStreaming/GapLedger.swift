import Datasets
import Groundwork
import Streaming
import SystemInterfaces

/// The file in the checkpoint folder that says what batches did not get: a line a gap, for people and tools.
///
/// `batch=12 time=1357002000000 partition=in-0 from=10 until=40 reason=retention`
///
/// A batch that is planned again writes its lines again: who counts takes each line once.
enum GapLedger {
  static let name = "gaps.txt"

  /// Appends a batch's gaps, durably: once the batch has run, no other trace of them is left.
  static func append(_ gaps: [Gap], _ batch: BatchIdentity, directory: String, files: any FileStore)
    throws(StreamingError)
  {
    let path = "\(directory)/\(name)"
    do throws(FileError) {
      try files.createDirectories(directory)
      let file = try files.open(path, .readWrite)
      let text = gaps.map { "batch=\(batch.number) time=\(batch.time.milliseconds) \($0.text)\n" }.joined()
      try file.write(at: try file.size(), [Bytes(text)])
      try file.sync()
      try files.syncDirectory(directory)
    } catch {
      throw .checkpoint("the gap ledger \(path) cannot be written: \(error)")
    }
  }
}
