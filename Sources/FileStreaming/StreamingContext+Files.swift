import Datasets
import Groundwork
import Streaming
import SystemInterfaces

// Streams of files that are moved into a folder. Write a file elsewhere on the same file system, then move it in: a file
// that is written in place is read half. Names that begin with `.` or `_` or end in `._COPYING_` are not looked at, nor
// are folders in the folder. A file is taken once, by its name.

extension StreamingContext {
  /// A stream of the lines of new files, as `SluiceContext.textFile` reads them.
  /// - Parameters:
  ///   - folder: a folder, or a pattern of folders.
  ///   - newFilesOnly: whether files that were there before the job's first start are left out.
  ///   - filter: which paths are wanted; called beside the driver's loop.
  public func textFileStream(
    _ folder: String, newFilesOnly: Bool = true, filter: @escaping @Sendable (String) -> Bool = { _ in true }
  ) -> DStream<Bytes> {
    let files = environment.world.files
    return folderStream(folder, label: "textFile", newFilesOnly, filter) { context, inputs in
      context.textLines(of: inputs, in: files, minPartitions: nil)
    }
  }

  /// A stream of the records of new files that hold nothing but records of one length.
  /// - Parameters:
  ///   - folder: a folder, or a pattern of folders.
  ///   - recordLength: bytes of a record.
  ///   - newFilesOnly: whether files that were there before the job's first start are left out.
  ///   - filter: which paths are wanted; called beside the driver's loop.
  public func binaryRecordsStream(
    _ folder: String, recordLength: Int, newFilesOnly: Bool = true,
    filter: @escaping @Sendable (String) -> Bool = { _ in true }
  ) -> DStream<Bytes> {
    let files = environment.world.files
    return folderStream(folder, label: "binaryRecords", newFilesOnly, filter) { context, inputs in
      try context.binaryRecords(of: inputs, in: files, recordLength: recordLength, minPartitions: nil)
    }
  }

  /// A stream of what `read` makes of new files.
  ///
  /// Files whose time of modification lies further back than `sluice.streaming.fileStream.minRememberDuration` (60 s)
  /// when they appear are taken for old ones and left out.
  /// - Parameters:
  ///   - folder: a folder, or a pattern of folders.
  ///   - newFilesOnly: whether files that were there before the job's first start are left out.
  ///   - filter: which paths are wanted; called beside the driver's loop.
  ///   - read: makes the dataset of a batch's files, of which there is at least one; called on the driver's loop.
  public func fileStream<Element>(
    _ folder: String, newFilesOnly: Bool = true, filter: @escaping @Sendable (String) -> Bool = { _ in true },
    read: @escaping @Sendable (SluiceContext, [InputFile]) throws -> RDD<Element>
  ) -> DStream<Element> {
    folderStream(folder, label: "file", newFilesOnly, filter, read)
  }

  private func folderStream<Element>(
    _ folder: String, label: String, _ newFilesOnly: Bool, _ filter: @escaping @Sendable (String) -> Bool,
    _ read: @escaping @Sendable (SluiceContext, [InputFile]) throws -> RDD<Element>
  ) -> DStream<Element> {
    let key = "sluice.streaming.fileStream.minRememberDuration"
    var window = Duration.seconds(60)
    if let text = setting(key) {
      if let given = Duration(text: text), given >= .milliseconds(1) {
        window = given
      } else {
        note(.invalidDefinition("\(key)=\(text) is not possible: choose 1ms or more, such as 60s"))
      }
    }
    let source = FolderSource(
      folder, isWanted: filter, newFilesOnly: newFilesOnly, window: max(window, batchInterval),
      batchInterval: batchInterval, files: environment.world.files, driver: environment.loop,
      helper: helperLoop(named: "folders"))
    return inputStream(source, label: label) { [sluice] batch, _ in
      let inputs = source.files(of: batch.number)
      guard !inputs.isEmpty else { return sluice.empty() }
      do {
        return try read(sluice, inputs)
      } catch {
        // The batch's tasks say it, and the batch fails as by any other error.
        return RDD(sluice, label: label, partitionCount: 1, dependencies: []) { _, _, _ in throw error }
      }
    }
  }
}
