import Codecs
import FileStreaming
import Groundwork
import KafkaProtocol
import KafkaStreaming
import Streaming
import SystemInterfaces

extension StreamingContext {
  /// Writes a line to where `print` of streams goes: standard output.
  public func print(_ text: String) { environment.print(text + "\n") }

  /// The flag by which `sluice` finds this job's brokers, for hints: `--bootstrap-server …` or `--data …`.
  public var brokerFlags: String {
    if let servers = setting("sluice.kafka.bootstrapServers") { return "--bootstrap-server \(servers)" }
    return "--data \(setting("sluice.broker.data") ?? "DIR")"
  }

  /// The lines of a text file, without their line ends; gzip is recognised by its content.
  /// - Parameters:
  ///   - path: absolute, or relative to the working directory.
  ///   - source: where given, a relative path is looked for beside this source file: pass `#filePath`.
  /// - Throws: `FileError`, `CodecError`. The whole text is held in memory; it may have up to 4 GiB.
  public func textLines(of path: String, beside source: String? = nil) throws -> [Bytes] {
    var path = path
    if let source, let slash = source.lastIndex(of: "/") { path = source[...slash] + path }
    var content = try environment.world.files.contents(of: path)
    if content.count > 2, content[0] == 0x1F, content[1] == 0x8B {
      content = try GzipReader.contents(of: content, limit: 4 << 30)
    }
    var lines: [Bytes] = []
    for line in content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      lines.append(line.last == UInt8(ascii: "\r") ? line[0..<line.count - 1] : line)
    }
    // What follows the last line feed is no line.
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines
  }
}

extension ByteWriter {
  /// Appends a record as one line of JSON: key, value, topic, partition, offset, timestamp (milliseconds since 1970) and
  /// headers (an array of arrays of key and value). Bytes that are no UTF-8 text become `{"base64":"…"}`.
  public mutating func append(json record: ConsumerRecord) {
    append("{\"key\":")
    append(json: record.key)
    append(",\"value\":")
    append(json: record.isTombstone ? nil : record.value)
    append(",\"topic\":")
    append(json: Bytes(record.topic))
    append(
      ",\"partition\":\(record.partition),\"offset\":\(record.offset),\"timestamp\":\(record.timestamp.milliseconds)")
    append(",\"headers\":[")
    var isFirst = true
    for header in record.headers {
      append(isFirst ? "[" : ",[")
      isFirst = false
      append(json: header.key)
      append(",")
      append(json: header.value)
      append("]")
    }
    append("]}")
  }
}
