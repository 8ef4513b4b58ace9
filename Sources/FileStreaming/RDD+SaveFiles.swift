import Codecs
import Datasets
import Groundwork
import SystemInterfaces

// Actions: they run a job and wait for its end, so they are called in the driver, never inside a task.

extension RDD {
  /// Saves the elements as text files in a new folder: `part-00000` and so on, one a partition, one line an element, and
  /// `_SUCCESS` when all are there. A failed attempt, and a failed job, leave nothing.
  /// - Parameters:
  ///   - path: the folder, which must not exist; what stands before its last component is made if need be.
  ///   - codec: gzip, zstd or lz4: the files are compressed and end in `.gz`, `.zst` or `.lz4`.
  ///   - line: appends an element's text, without the line feed.
  /// - Throws: `FileStreamingError.outputExists`, the job's failure, `FileError`.
  @inlinable public func saveAsTextFile(
    _ path: String, codec: CompressionCodec = .none,
    line: @escaping @Sendable (Element, inout ByteWriter) throws -> Void
  ) throws {
    try saveFiles(path, label: "saveAsTextFile", codec: codec, FileEncoding.lines(line))
  }

  /// Saves the elements as text files: an element's line is its description; `Bytes` as they are.
  @inlinable public func saveAsTextFile(_ path: String, codec: CompressionCodec = .none) throws {
    try saveFiles(path, label: "saveAsTextFile", codec: codec, FileEncoding.lines(FileEncoding.describe))
  }

  /// Saves the elements, in their canonical encoding, in a new folder, from which `objectFile` reads them.
  /// - Parameter path: the folder, which must not exist.
  @inlinable public func saveAsObjectFile(_ path: String) throws where Element: StreamCodable {
    try saveFiles(path, label: "saveAsObjectFile", codec: .none, FileEncoding.objects())
  }

  @usableFromInline func saveFiles(
    _ path: String, label: String, codec: CompressionCodec,
    _ encode: @escaping FileEncoding.Encode<Element>
  ) throws {
    _ = try FileCompression.ending(codec)
    let folder = try OutputFolder(making: path, files: context.fileStore())
    do {
      let parts = try context.runner.run(self, partitions: Array(0..<partitionCount), label: label) {
        dataset, partition, task in
        try folder.attempt(task, codec: codec) { file in
          try dataset.compute(partition, task) { view in
            try file.append(records: view.count) { try encode(view, &$0) }
          }
        }
      }
      let whole = parts.compactMap { $0 }
      // A task as well, since it waits for the disk.
      let one = context.parallelize([0], partitionCount: 1)
      _ = try context.runner.run(one, partitions: [0], label: "\(label), commit") { _, _, _ in
        try folder.commit(whole)
        return true
      }
    } catch {
      folder.abandon()
      throw error
    }
  }
}

/// How chunks of elements become the content of files.
@usableFromInline enum FileEncoding {
  /// Appends lent elements.
  @usableFromInline
  typealias Encode<Element> = @Sendable (UnsafeBufferPointer<Element>, inout ByteWriter) throws -> Void

  /// One line an element; made in inlinable code, so that `line` is compiled into the loop.
  @inlinable static func lines<Element>(
    _ line: @escaping @Sendable (Element, inout ByteWriter) throws -> Void
  ) -> Encode<Element> {
    { view, writer in
      for index in 0..<view.count {
        try line(view[index], &writer)
        writer.append(UInt8(ascii: "\n"))
      }
    }
  }

  @inlinable static func objects<Element: StreamCodable>() -> Encode<Element> {
    { view, writer in try ObjectFile.append(view, to: &writer) }
  }

  /// An element's text where nobody says another.
  @inlinable @Sendable static func describe<Element>(_ element: Element, _ writer: inout ByteWriter) {
    if let bytes = element as? Bytes { writer.append(bytes) } else { writer.append("\(element)") }
  }
}
