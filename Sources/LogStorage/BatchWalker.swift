import Groundwork
import KafkaProtocol
import SystemInterfaces

/// Walks the batch headers of a segment's file forward, in small reads; bodies are skipped.
///
/// It trusts the headers: recovery has checked them. Still it stops where one is implausible or would not end within the
/// limit.
struct BatchWalker {
  private let file: any File
  private let limit: Int64
  private var window = Bytes()
  private var windowStart: Int64 = 0
  /// Where the next batch begins.
  private(set) var position: Int64

  private static var windowSize: Int64 { 8192 }

  init(_ file: any File, from position: Int64, limit: Int64) {
    self.file = file
    self.position = position
    self.limit = limit
  }

  /// The next batch's header and where it begins; nil at the end.
  mutating func next() throws(FileError) -> (header: RecordBatchHeader, position: Int64)? {
    guard limit - position >= Int64(RecordBatchLayout.records) else { return nil }
    if position < windowStart || position + Int64(RecordBatchLayout.records) > windowStart + Int64(window.count) {
      window = try file.read(at: position, count: Int(min(limit - position, BatchWalker.windowSize)))
      windowStart = position
    }
    let offset = Int(position - windowStart)
    let header = window.withUnsafeBytes {
      RecordBatchHeader.read(UnsafeRawBufferPointer(rebasing: $0[min(offset, $0.count)...]))
    }
    guard let header, Int64(header.totalSize) <= limit - position else { return nil }
    defer { position += Int64(header.totalSize) }
    return (header, position)
  }
}
