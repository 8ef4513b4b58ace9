import CPrimitives
import Groundwork
import SystemInterfaces

/// One entry of a journal: a version, which says how to read the payload, and the payload.
public struct JournalEntry: Sendable, Equatable {
  /// The form of the payload: the writer chooses it, the reader decides by it. The journal does not look at it.
  public var version: UInt16
  /// The content, at most `Journal.entrySizeMax` bytes together with the version. Entries of a replay own their bytes:
  /// they do not keep the file's window alive.
  public var payload: Bytes

  /// An entry as it is appended. Its size is checked by `append` and `rewrite`, not here.
  public init(version: UInt16, payload: Bytes) {
    self.version = version
    self.payload = payload
  }
}

/// The form of an entry in the file, all numbers big-endian:
///
///     byte  0   length   UInt32   bytes of version and payload: at least 2
///           4   crc      UInt32   CRC-32C of the length field, the version and the payload
///           8   version  UInt16
///          10   payload
///
/// The checksum covers the length so that a run of zeros, which a file system may leave behind after a power loss, is
/// no entry.
enum EntryLayout {
  static let crcPosition = 4
  static let versionPosition = 8
  static let payloadPosition = 10
  /// What `length` counts beside the payload.
  static let versionSize = 2

  static func append(_ entry: JournalEntry, to writer: inout ByteWriter) {
    let start = writer.count
    writer.append(bigEndian: UInt32(versionSize + entry.payload.count))
    writer.append(bigEndian: UInt32(0))
    writer.append(bigEndian: entry.version)
    writer.append(entry.payload)
    let crc = writer.withUnsafeBytes { checksum(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    writer.patch(bigEndian: crc, at: start + crcPosition)
  }

  /// The checksum of a whole entry; the stored one is not looked at.
  static func checksum(_ entry: UnsafeRawBufferPointer) -> UInt32 {
    let base = entry.baseAddress!
    return sluice_crc32c(sluice_crc32c(0, base, crcPosition), base + versionPosition, entry.count - versionPosition)
  }
}

extension Journal {
  /// The bytes of one entry, for a file that holds a single one and is overwritten in place.
  public static func encoded(_ entry: JournalEntry) -> Bytes {
    var writer = ByteWriter(capacity: entry.payload.count + EntryLayout.payloadPosition)
    EntryLayout.append(entry, to: &writer)
    return writer.finish()
  }

  /// The first entry of a file, or nil where there is no file, or no intact entry.
  public static func first(of path: String, in files: any FileStore) throws(JournalError) -> JournalEntry? {
    var first: JournalEntry?
    _ = try scan(path, in: files) { entry, _ in if first == nil { first = entry } }
    return first
  }
}
