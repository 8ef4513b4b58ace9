import CPrimitives
import Groundwork
import SystemInterfaces

/// What a forward scan of a journal found.
public struct JournalScan: Sendable, Equatable {
  /// Bytes from the start that are whole, intact entries.
  public var validBytes: Int64
  /// Bytes after them: a torn or damaged tail.
  public var tailBytes: Int64
  /// Number of intact entries.
  public var entryCount: Int
}

extension Journal {
  /// Reads a journal without changing it: calls `visit` for each intact entry with its position, in order, up to the
  /// first that is not. A file that does not exist holds no entries. O(size), in windows of 256 KiB.
  ///
  /// - Throws: what the file system says, and what `visit` throws.
  public static func scan(
    _ path: String, in files: any FileStore,
    _ visit: (_ entry: JournalEntry, _ position: Int64) throws(JournalError) -> Void
  ) throws(JournalError) -> JournalScan {
    do {
      guard try files.attributes(path) != nil else { return JournalScan(validBytes: 0, tailBytes: 0, entryCount: 0) }
      return try scan(try files.open(path, .read), visit)
    } catch let error as FileError {
      throw JournalError(error)
    } catch let error as JournalError {
      throw error
    } catch {
      throw JournalError(.broken, path: path)
    }
  }

  static func scan(
    _ file: any File, _ visit: (_ entry: JournalEntry, _ position: Int64) throws(JournalError) -> Void
  ) throws(JournalError) -> JournalScan {
    do {
      let size = try file.size()
      var windowStart: Int64 = 0
      var window = Bytes()
      var position: Int64 = 0
      var entryCount = 0
      /// Makes `count` bytes from `position` on stand in the window; false where the file has fewer.
      func require(_ count: Int) throws(FileError) -> Bool {
        guard size - position >= Int64(count) else { return false }
        if position >= windowStart, position + Int64(count) <= windowStart + Int64(window.count) { return true }
        window = try file.read(at: position, count: Int(min(size - position, Int64(max(count, scanWindow)))))
        windowStart = position
        return window.count >= count
      }
      while try require(EntryLayout.payloadPosition) {
        let length = window.bigEndian(UInt32.self, at: Int(position - windowStart))
        guard length >= EntryLayout.versionSize, length <= entrySizeMax else { break }
        let count = EntryLayout.versionPosition + Int(length)
        guard try require(count) else { break }
        let start = Int(position - windowStart)
        let bytes = window[start..<start + count]
        guard bytes.withUnsafeBytes(EntryLayout.checksum) == bytes.bigEndian(UInt32.self, at: EntryLayout.crcPosition)
        else { break }
        let entry = JournalEntry(
          version: bytes.bigEndian(UInt16.self, at: EntryLayout.versionPosition),
          payload: bytes[EntryLayout.payloadPosition..<count].copied)
        try visit(entry, position)
        position += Int64(count)
        entryCount += 1
      }
      return JournalScan(validBytes: position, tailBytes: size - position, entryCount: entryCount)
    } catch let error as FileError {
      throw JournalError(error)
    } catch let error as JournalError {
      throw error
    } catch {
      throw JournalError(.broken, path: file.path)
    }
  }

  private static var scanWindow: Int { 256 << 10 }
}

extension Bytes {
  /// The big-endian number at `position`, which must lie inside.
  func bigEndian<I: FixedWidthInteger & BitwiseCopyable>(_ type: I.Type, at position: Int) -> I {
    precondition(position >= 0 && position + MemoryLayout<I>.size <= count)
    return withUnsafeBytes { I(bigEndian: $0.loadUnaligned(fromByteOffset: position, as: I.self)) }
  }
}
