import Datasets
import Groundwork
import Streaming

extension DStream {
  /// Saves each batch as text files in a folder `PREFIX-TIME[.SUFFIX]`, one part file a partition, one line an element.
  ///
  /// Batches without elements make no folder.
  /// - Parameters:
  ///   - prefix: a path whose last component begins the folders' names; what stands before it is made if need be.
  ///   - line: appends an element's text, without the line feed.
  public func saveAsTextFiles(
    _ prefix: String, suffix: String = "", line: @escaping @Sendable (Element, inout ByteWriter) throws -> Void
  ) {
    let sink: TextFileSink
    do {
      sink = try TextFileSink(
        prefix: prefix, suffix: suffix, files: context.environment.world.files, log: context.environment.log)
    } catch {
      return context.note(.invalidDefinition("saveAsTextFiles: \(error)"))
    }
    guard context.attachment(FoldersWritten.self, make: { FoldersWritten() }).names.insert(sink.name).inserted else {
      return context.note(
        .invalidDefinition(
          "saveAsTextFiles: two outputs of this job write \(sink.name): give one another prefix or suffix"))
    }
    context.atEnd { sink.removeAttemptFolder() }
    write(to: sink, label: "saveAsTextFiles") { dataset, partition, task in
      do {
        // The file is begun with the first element, so that an empty partition costs nothing.
        var file: AttemptFile?
        try dataset.compute(partition, task) { view in
          var open = try file.take() ?? sink.attempt(task)
          for index in 0..<view.count {
            try open.append { writer in
              try line(view[index], &writer)
              writer.append(UInt8(ascii: "\n"))
            }
          }
          file = consume open
        }
        guard let finished = file.take() else { return TaskOutput(records: 0, bytes: 0, payload: ()) }
        return try finished.finish()
      } catch {
        sink.attemptFailed(task)
        throw error
      }
    }
  }

  /// Saves each batch as text files: an element's line is its description; `Bytes` as they are.
  public func saveAsTextFiles(_ prefix: String, suffix: String = "") {
    saveAsTextFiles(prefix, suffix: suffix) { element, writer in
      if let bytes = element as? Bytes { writer.append(bytes) } else { writer.append("\(element)") }
    }
  }
}

/// The names of the text outputs of a job: two of one name would write the same files.
private final class FoldersWritten {
  var names: Set<String> = []
}
