import Codecs
import Datasets
import Groundwork
import Streaming

extension DStream {
  /// Saves the elements in files that are rolled by size and age over many batches, exactly once where the source can be
  /// replayed.
  ///
  /// Files are written under hidden names (`.part-….part`) and get their final ones when they are closed: readers of the
  /// folder see whole files only. `sluice files ls` shows the open ones as well, `sluice files verify` reads all of it and
  /// compares. A graceful end closes all files; after any other the next start goes on where the manifest says.
  ///
  /// ```swift
  /// flights.saveToFiles(
  ///   "archive", format: .csv(header: ["carrier", "delay"]) { flight, row in
  ///     row.append(flight.carrier)
  ///     row.append(flight.delay)
  ///   }, compression: .zstd, rolling: RollingPolicy(size: 256 << 20, age: .seconds(900)),
  ///   path: FilePath("dt={date}/hour={hour}", time: { $0.departure }))
  /// ```
  /// - Parameters:
  ///   - directory: the output folder, made if need be; one job writes to it, and no other.
  ///   - format: how elements become bytes.
  ///   - compression: gzip, zstd or lz4: the files end in `.gz`, `.zst` or `.lz4`.
  ///   - rolling: when a file is closed.
  ///   - path: in which folder below the output folder an element's file stands.
  /// - Returns: the output, to be named.
  @discardableResult
  @_disfavoredOverload @inlinable public func saveToFiles(
    _ directory: String, format: FileFormat<Element> = .text, compression: CompressionCodec = .none,
    rolling: RollingPolicy = RollingPolicy(), path: FilePath<Element> = ""
  ) -> OutputDefinition {
    let encode = format.encode
    let key = path.key
    let folder = path.directory
    return saveRolling(directory, format, compression, rolling, path) { dataset, partition, task, writer in
      var wanted = ByteWriter(capacity: 64)
      var next = ByteWriter(capacity: 64)
      guard let key else {
        let buffer = writer.buffer(for: wanted) { folder(nil, task.batch.time) }
        return try dataset.compute(partition, task) { view in
          try encode(view, &buffer.writer)
          try writer.added(view.count, to: buffer)
        }
      }
      try dataset.compute(partition, task) { view in
        var start = 0
        while start < view.count {
          // Elements that follow each other mostly belong to one folder: they are encoded as one run.
          wanted.removeAll()
          key(view[start], &wanted)
          var end = start + 1
          while end < view.count {
            next.removeAll()
            key(view[end], &next)
            guard FileEncoding.isEqual(wanted, next) else { break }
            end += 1
          }
          let buffer = writer.buffer(for: wanted) { folder(view[start], task.batch.time) }
          try encode(UnsafeBufferPointer(rebasing: view[start..<end]), &buffer.writer)
          try writer.added(end - start, to: buffer)
          start = end
        }
      }
    }
  }

  @usableFromInline func saveRolling(
    _ directory: String, _ format: FileFormat<Element>, _ compression: CompressionCodec, _ rolling: RollingPolicy,
    _ path: FilePath<Element>,
    _ work: @escaping @Sendable (RDD<Element>, Int, TaskContext, inout PieceWriter) throws -> Void
  ) -> OutputDefinition {
    let label = "saveToFiles"
    let environment = context.environment
    func refuse(_ reason: String) -> OutputDefinition {
      context.note(.invalidDefinition("\(label): \(reason)"))
      return .none(context)
    }
    var folder = directory
    while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
    if folder.isEmpty { return refuse("the output folder has no name") }
    if let problem = rolling.problem ?? path.problem { return refuse(problem) }
    var settings = FolderWriter.Settings(folder: folder, job: environment.jobName)
    settings.processID = environment.processID
    settings.rolling = rolling
    settings.acceptsRepeats = context.setting("sluice.streaming.guarantee") == "at-least-once"
    do {
      settings.ending = format.fileExtension + (try FileCompression.ending(compression))
      settings.header = try CodecWorkspace().compress(format.header, with: compression)
    } catch {
      return refuse("\(error)")
    }
    if format.header.isEmpty { settings.header = Bytes() }
    let sink = RollingFileSink(
      settings, codec: compression, files: environment.world.files,
      helper: (context.helperLoop(named: "files"), environment.loop), log: environment.log)
    guard context.attachment(FoldersWritten.self, make: { FoldersWritten() }).names.insert(sink.name).inserted else {
      return refuse("two outputs of this job write to \(folder): give one another folder")
    }
    context.addStreamingListener(RollingClock(sink))
    context.atEnd { sink.end() }
    context.atRelease { sink.release() }
    return write(to: sink, label: label) { dataset, partition, task in
      do {
        var writer = sink.pieceWriter(task)
        try work(dataset, partition, task, &writer)
        return try writer.finish()
      } catch {
        sink.attemptFailed(task)
        throw error
      }
    }
  }
}

/// Lets files grow old with the batches' times, whatever the batches hold.
private final class RollingClock: StreamingListener {
  private let sink: RollingFileSink
  init(_ sink: RollingFileSink) { self.sink = sink }

  func onBatchCompleted(_ batch: BatchInfo) {
    if batch.failureReason == nil { sink.batchCompleted(at: batch.batchTime) }
  }
}

extension FileEncoding {
  @inlinable static func isEqual(_ a: borrowing ByteWriter, _ b: borrowing ByteWriter) -> Bool {
    guard a.count == b.count else { return false }
    return a.withUnsafeBytes { a in b.withUnsafeBytes { b in a.elementsEqual(b) } }
  }
}
