import Groundwork
import Journals
import SystemInterfaces

/// The write-ahead log of a receiver: its blocks, synced before they count, in a folder of journals that are named for
/// the offset of their first element and removed when all that they hold is committed.
///
/// An entry is a block: the offset of its first element and the count of its elements (big-endian, 8 and 4 bytes), then
/// the elements in their canonical encoding.
///
/// Confined to the receivers' loop.
final class ReceiverLog {
  /// A block as it stands in the log.
  struct Entry {
    var first: Int64
    var count: Int
    var elements: Bytes
    var end: Int64 { first + Int64(count) }
  }

  private static let version: UInt16 = 1
  private let directory: String
  private let files: any FileStore
  private let segmentSize: Int64
  /// Finished journals and the offsets after their last elements, oldest first.
  private var finished: [(path: String, end: Int64)] = []
  private var current: (journal: Journal, end: Int64)?

  /// - Parameter segmentSize: bytes after which a new journal is begun.
  init(directory: String, files: any FileStore, segmentSize: Int64 = 16 << 20) {
    self.directory = directory
    self.files = files
    self.segmentSize = segmentSize
  }

  /// Reads the blocks that lie behind `committed`, in order, and removes journals without any.
  /// - Returns: the blocks, and bytes of torn ends that were cut off.
  func open(after committed: Int64) throws -> (blocks: [Entry], cutBytes: Int64) {
    try files.createDirectories(directory)
    var blocks: [Entry] = []
    var next: Int64?
    var cutBytes: Int64 = 0
    for name in try files.list(directory) where name.hasSuffix(".journal") {
      let path = "\(directory)/\(name)"
      var end: Int64 = 0
      let opened = try Journal.open(path, in: files) { entry, position throws(JournalError) in
        guard entry.version == ReceiverLog.version else {
          throw JournalError(.unsupportedVersion(entry.version, position: position), path: path)
        }
        guard let block = ReceiverLog.decode(entry.payload) else {
          throw JournalError(.malformedEntry(position: position), path: path)
        }
        end = max(end, block.end)
        // A block written again after an unclear failure stands here twice.
        guard block.end > committed, block.first >= (next ?? block.first) else { return }
        next = block.end
        blocks.append(block)
      }
      cutBytes += opened.cutBytes
      finished.append((path, end))
    }
    removeFinished(before: committed)
    return (blocks, cutBytes)
  }

  /// Adds blocks; when it returns they outlive the process and the power.
  func append(_ blocks: [Entry]) throws(JournalError) {
    guard let first = blocks.first, let last = blocks.last else { return }
    let journal = try currentJournal(first.first)
    try journal.append(blocks.map(ReceiverLog.encode), sync: true)
    current = (journal, last.end)
    if journal.byteCount >= segmentSize {
      finished.append((journal.path, last.end))
      current = nil
    }
  }

  private func currentJournal(_ offset: Int64) throws(JournalError) -> Journal {
    if let current { return current.journal }
    let digits = String(offset)
    let name = String(repeating: "0", count: max(0, 19 - digits.count)) + digits
    return try Journal.open("\(directory)/\(name).journal", in: files) { _, _ in }.journal
  }

  /// Removes journals all of whose elements lie before the offset.
  func removeFinished(before offset: Int64) {
    while let oldest = finished.first, oldest.end <= offset {
      // What cannot be removed now is removed after the next restart.
      try? files.removeFile(oldest.path)
      finished.removeFirst()
    }
  }

  private static func encode(_ block: Entry) -> JournalEntry {
    var payload = ByteWriter(capacity: block.elements.count + 16)
    payload.append(bigEndian: block.first)
    payload.append(bigEndian: UInt32(block.count))
    payload.append(block.elements)
    return JournalEntry(version: version, payload: payload.finish())
  }

  private static func decode(_ payload: Bytes) -> Entry? {
    var reader = PayloadReader(payload)
    guard let first = try? reader.integer(Int64.self), let count = try? reader.integer(UInt32.self), first >= 0 else {
      return nil
    }
    return Entry(first: first, count: Int(count), elements: payload[payload.count - reader.remaining..<payload.count])
  }
}

/// How elements are written into the log and read again.
struct ElementCoding<Element: Sendable>: Sendable {
  var encode: @Sendable ([Element]) -> Bytes
  var decode: @Sendable (Bytes, _ count: Int) throws -> [Element]
}

extension ElementCoding where Element: StreamCodable {
  /// The canonical encodings, one after the other.
  static var canonical: ElementCoding {
    ElementCoding {
      var writer = ByteWriter(capacity: $0.count * 16)
      for element in $0 { element.encode(to: &writer) }
      return writer.finish()
    } decode: { bytes, count in
      var reader = StreamReader(bytes)
      var elements: [Element] = []
      for _ in 0..<count { elements.append(try Element.decode(from: &reader)) }
      guard reader.remaining == 0 else { throw reader.fail("\(reader.remaining) bytes too many") }
      return elements
    }
  }
}
