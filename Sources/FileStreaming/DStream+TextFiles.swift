import Codecs
import Datasets
import Groundwork
import Streaming

extension DStream {
  /// Saves each batch as text files in a folder `PREFIX-TIME[.SUFFIX]`, one part file a partition, one line an element.
  ///
  /// Batches without elements make no folder.
  /// - Parameters:
  ///   - prefix: a path whose last component begins the folders' names; what stands before it is made if need be.
  ///   - suffix: after a dot, the end of the folders' names; empty for none.
  ///   - codec: gzip, zstd or lz4: the files are compressed and end in `.gz`, `.zst` or `.lz4`.
  ///   - line: appends an element's text, without the line feed.
  @discardableResult
  @inlinable public func saveAsTextFiles(
    _ prefix: String, suffix: String = "", codec: CompressionCodec = .none,
    line: @escaping @Sendable (Element, inout ByteWriter) throws -> Void
  ) -> OutputDefinition {
    saveFiles(prefix, suffix, label: "saveAsTextFiles", codec, FileEncoding.lines(line))
  }

  /// Saves each batch as text files: an element's line is its description; `Bytes` as they are.
  @discardableResult
  @inlinable public func saveAsTextFiles(_ prefix: String, suffix: String = "", codec: CompressionCodec = .none)
    -> OutputDefinition
  {
    saveFiles(prefix, suffix, label: "saveAsTextFiles", codec, FileEncoding.lines(FileEncoding.describe))
  }

  /// Saves each batch, in the elements' canonical encoding, in a folder `PREFIX-TIME[.SUFFIX]`, from which `objectFile`
  /// reads them.
  /// - Parameters:
  ///   - prefix: a path whose last component begins the folders' names.
  ///   - suffix: after a dot, the end of the folders' names; empty for none.
  @discardableResult
  @inlinable public func saveAsObjectFiles(_ prefix: String, suffix: String = "") -> OutputDefinition
  where Element: StreamCodable {
    saveFiles(prefix, suffix, label: "saveAsObjectFiles", .none, FileEncoding.objects())
  }

  @usableFromInline func saveFiles(
    _ prefix: String, _ suffix: String, label: String, _ codec: CompressionCodec,
    _ encode: @escaping FileEncoding.Encode<Element>
  ) -> OutputDefinition {
    let environment = context.environment
    let sink: TextFileSink
    do {
      _ = try FileCompression.ending(codec)
      sink = try TextFileSink(
        prefix: prefix, suffix: suffix, codec: codec, files: environment.world.files,
        helper: (context.helperLoop(named: "files"), environment.loop), log: environment.log)
    } catch {
      context.note(.invalidDefinition("\(label): \(error)"))
      return .none(context)
    }
    guard context.attachment(FoldersWritten.self, make: { FoldersWritten() }).names.insert(sink.name).inserted else {
      context.note(
        .invalidDefinition(
          "\(label): two outputs of this job write \(sink.name): give one another prefix or suffix"))
      return .none(context)
    }
    context.atEnd { sink.removeAttemptFolder() }
    return write(to: sink, label: label) { dataset, partition, task in
      do {
        // The file is begun with the first element, so that an empty partition costs nothing.
        var file: AttemptFile?
        try dataset.compute(partition, task) { view in
          var open = try file.take() ?? sink.attempt(task)
          try open.append(records: view.count) { try encode(view, &$0) }
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
}

/// The names of the file outputs of a job: two of one name would write the same files.
final class FoldersWritten {
  var names: Set<String> = []
}
