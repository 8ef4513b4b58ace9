import Codecs
import FileStreaming
import Groundwork
import KafkaStreaming
import Streaming

extension DStream where Element == ConsumerRecord {
  /// Saves records in files that are rolled by size and age over many batches: as `saveToFiles` of any stream, with
  /// topic, partition and record time for the path.
  ///
  /// ```swift
  /// context.topicStream(["orders"]).saveToFiles(
  ///   "archive", format: .json, compression: .zstd, path: "{topic}/dt={date}/hour={hour}")
  /// ```
  /// - Parameters:
  ///   - directory: the output folder, made if need be; one job writes to it, and no other.
  ///   - format: `.values`, `.json`, `.csv`, or one of one's own.
  ///   - compression: gzip, zstd or lz4: the files end in `.gz`, `.zst` or `.lz4`.
  ///   - rolling: when a file is closed.
  ///   - path: a template with `{topic}`, `{partition}`, and of the record's time `{date}`, `{year}`, `{month}`, `{day}`,
  ///     `{hour}`, `{minute}`.
  ///   - zone: whose days and hours count.
  /// - Returns: the output, to be named.
  @discardableResult
  public func saveToFiles(
    _ directory: String, format: FileFormat<ConsumerRecord> = .values, compression: CompressionCodec = .none,
    rolling: RollingPolicy = RollingPolicy(), path: String = "{topic}", zone: ZoneOffset = .utc
  ) -> OutputDefinition {
    saveToFiles(
      directory, format: format, compression: compression, rolling: rolling,
      path: FilePath(
        path, zone: zone, topic: { $0.topic }, partition: { $0.partition }, time: { $0.timestamp }))
  }
}

extension FileFormat where Element == ConsumerRecord {
  /// The value of each record as a line; line feeds in it become `\n`. Files end in `.txt`.
  public static var values: FileFormat {
    .text { record, line in line.append(line: record.value) }
  }

  /// Each record as a line of JSON: key, value, topic, partition, offset, timestamp and headers. Files end in `.json`.
  public static var json: FileFormat {
    FileFormat(fileExtension: ".json") { view, writer in
      for index in 0..<view.count {
        writer.append(json: view[index])
        writer.append(UInt8(ascii: "\n"))
      }
    }
  }

  /// Each record as a row: topic, partition, offset, timestamp (milliseconds since 1970), key, value. Null is an empty
  /// field. Files begin with these names and end in `.csv`.
  public static var csv: FileFormat {
    .csv(header: ["topic", "partition", "offset", "timestamp", "key", "value"]) { record, row in
      row.append(record.topic)
      row.append(record.partition.rawValue)
      row.append(record.offset.rawValue)
      row.append(record.timestamp.milliseconds)
      row.append(record.key)
      row.append(record.value)
    }
  }
}
