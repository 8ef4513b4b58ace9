import Datasets
import Groundwork
import Journals
import Streaming
import SystemInterfaces

// Datasets of files. A path may be a file, a folder (its files, not those of folders in it) or a pattern such as
// `logs/2013-*/part-*`; names that begin with `.` or `_` are left out. Paths are looked up where the dataset is defined,
// files are read in tasks, and of each no more than it held at that time.

extension SluiceContext {
  /// The files that datasets of this context are read from and written to.
  func fileStore() throws(FileStreamingError) -> any FileStore {
    guard let attached = attachments.get(AttachedFiles.self) else { throw .noFileStore }
    return attached.files
  }

  /// The lines of text files, without their line ends (line feed, or carriage return and line feed). Files that end in
  /// `.gz`, `.zst` or `.lz4` are decompressed, each by one task; others are cut into parts (Hadoop's FileInputFormat): a
  /// line belongs to the part that its first byte lies in.
  /// - Parameters:
  ///   - path: a file, a folder or a pattern.
  ///   - minPartitions: how many partitions there should be at least, where files are large enough; nil is 2, or 1 on one
  ///     executor.
  /// - Throws: `FileStreamingError.noInput`, `FileError`.
  public func textFile(_ path: String, minPartitions: Int? = nil) throws -> RDD<Bytes> {
    try textFile([path], minPartitions: minPartitions)
  }

  /// As `textFile` of one path, of several.
  public func textFile(_ paths: [String], minPartitions: Int? = nil) throws -> RDD<Bytes> {
    textLines(of: try InputFile.find(paths, in: fileStore()), in: try fileStore(), minPartitions: minPartitions)
  }

  /// The lines of files that are known already.
  func textLines(of inputs: [InputFile], in files: any FileStore, minPartitions: Int?) -> RDD<Bytes> {
    let splits = FileSplit.cut(inputs, minCount: minPartitions ?? usualPartitions) {
      FileCompression.of($0.path) == .none
    }
    guard !splits.isEmpty else { return empty() }
    return RDD(
      self, label: "textFile", partitionCount: splits.count, dependencies: [],
      weight: { FileWeight.of(splits[$0].range.upperBound - splits[$0].range.lowerBound) }
    ) { partition, task, emit in try LineReading.read(splits[partition], in: files, task, emit) }
  }

  /// Whole text files: pairs of a file's path and its content, decompressed as by `textFile`; bytes that are no UTF-8
  /// become U+FFFD. Small files share a partition.
  /// - Parameters:
  ///   - path: a file, a folder or a pattern.
  ///   - minPartitions: about how many partitions the files are spread over, at most one a file.
  public func wholeTextFiles(_ path: String, minPartitions: Int? = nil) throws -> RDD<(String, String)> {
    try wholeFiles(path, label: "wholeTextFiles", minPartitions) { file, files, task in
      var content = ByteWriter(capacity: Int(file.size) + 1)
      try FileCompression.read(file, in: files, task) { content.append($0) }
      return (file.path, String(content.finish()))
    }
  }

  /// Whole files as they are: pairs of a file's path and its bytes.
  /// - Parameters:
  ///   - path: a file, a folder or a pattern.
  ///   - minPartitions: about how many partitions the files are spread over, at most one a file.
  public func binaryFiles(_ path: String, minPartitions: Int? = nil) throws -> RDD<(String, Bytes)> {
    try wholeFiles(path, label: "binaryFiles", minPartitions) { file, files, _ in
      (file.path, try file.contents(in: files))
    }
  }

  private func wholeFiles<Element>(
    _ path: String, label: String, _ minPartitions: Int?,
    _ read: @escaping @Sendable (InputFile, any FileStore, TaskContext) throws -> Element
  ) throws -> RDD<Element> {
    let files = try fileStore()
    let groups = FileSplit.group(
      try InputFile.find([path], in: files), minCount: minPartitions ?? usualPartitions)
    guard !groups.isEmpty else { return empty() }
    return RDD<Element>(
      self, label: label, partitionCount: groups.count, dependencies: [],
      weight: { FileWeight.of(groups[$0].reduce(0) { $0 + $1.size }) }
    ) { partition, task, emit in
      for file in groups[partition] {
        var output = Chunk<Element>(capacity: 1)
        output.append(try read(file, files, task))
        task.recordsRead += 1
        try emit(output.view)
      }
    }
  }

  /// The records of files that hold nothing but records of one length.
  /// - Parameters:
  ///   - path: a file, a folder or a pattern.
  ///   - recordLength: bytes of a record.
  /// - Throws: `FileStreamingError.unevenLength` where a file ends within a record.
  public func binaryRecords(
    _ path: String, recordLength: Int, minPartitions: Int? = nil
  ) throws -> RDD<Bytes> {
    let files = try fileStore()
    return try binaryRecords(
      of: InputFile.find([path], in: files), in: files, recordLength: recordLength, minPartitions: minPartitions)
  }

  /// The records of files that are known already.
  func binaryRecords(
    of inputs: [InputFile], in files: any FileStore, recordLength: Int, minPartitions: Int?
  ) throws(FileStreamingError) -> RDD<Bytes> {
    guard recordLength > 0 else { throw .invalidRecordLength(recordLength) }
    for file in inputs where file.size % Int64(recordLength) != 0 {
      throw .unevenLength(path: file.path, size: file.size, recordLength: recordLength)
    }
    let splits = FileSplit.cut(inputs, minCount: minPartitions ?? usualPartitions, unit: Int64(recordLength)) { _ in
      true
    }
    guard !splits.isEmpty else { return empty() }
    return RDD(
      self, label: "binaryRecords", partitionCount: splits.count, dependencies: [],
      weight: { FileWeight.of(splits[$0].range.upperBound - splits[$0].range.lowerBound) }
    ) { partition, task, emit in
      let split = splits[partition]
      let file = try split.file.open(in: files)
      let pieceSize = max(1, Int(LineReading.pieceSize) / recordLength) * recordLength
      var position = split.range.lowerBound
      while position < split.range.upperBound {
        let piece = try file.read(at: position, count: min(pieceSize, Int(split.range.upperBound - position)))
        guard piece.count >= recordLength else { throw FileStreamingError.fileChanged(split.file.path) }
        var output = Chunk<Bytes>()
        for start in stride(from: 0, through: piece.count - recordLength, by: recordLength) {
          output.append(piece[start..<start + recordLength])
        }
        position += Int64(output.count * recordLength)
        task.recordsRead += output.count
        try emit(output.view)
      }
    }
  }

  /// The elements of what `saveAsObjectFile` wrote, one partition a part file.
  /// - Parameters:
  ///   - path: the folder, a file, or a pattern.
  ///   - type: the type of the elements, which must be the one that was saved.
  public func objectFile<Element: StreamCodable>(
    _ path: String, of type: Element.Type = Element.self
  ) throws -> RDD<Element> {
    let files = try fileStore()
    let inputs = try InputFile.find([path], in: files)
    guard !inputs.isEmpty else { return empty() }
    return RDD<Element>(
      self, label: "objectFile", partitionCount: inputs.count, dependencies: [],
      weight: { FileWeight.of(inputs[$0].size) }
    ) { partition, task, emit in try ObjectFile.read(inputs[partition], in: files, task, emit) }
  }

  /// Spark's `defaultMinPartitions`.
  private var usualPartitions: Int { min(2, defaultParallelism) }
}

/// What reading costs.
enum FileWeight {
  /// Nanoseconds for opening a file and reading so many bytes of it.
  static func of(_ bytes: Int64) -> Int64 { 20_000 + bytes / 2 }
}
