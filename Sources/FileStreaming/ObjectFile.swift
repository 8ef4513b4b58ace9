import Datasets
import Groundwork
import Journals
import SystemInterfaces

/// Files of StreamCodable elements: entries of a journal (length, CRC, version), each of which holds a count (an unsigned
/// varint) and so many elements in their canonical encoding.
@usableFromInline enum ObjectFile {
  /// Version of the entries.
  @usableFromInline static let version: UInt16 = 1
  /// Bytes of elements after which an entry ends.
  @usableFromInline static let entrySize = 256 << 10
  /// The largest element, in bytes: an entry holds at most one beyond its usual size.
  @usableFromInline static let elementMax = 32 << 20

  /// Appends elements as entries.
  @inlinable static func append<Element: StreamCodable>(
    _ elements: UnsafeBufferPointer<Element>, to writer: inout ByteWriter
  ) throws {
    var encoded = ByteWriter(capacity: 4096)
    var first = 0
    for index in 0..<elements.count {
      let before = encoded.count
      elements[index].encode(to: &encoded)
      guard encoded.count - before <= elementMax else {
        throw FileStreamingError.elementTooLarge(encoded.count - before)
      }
      if encoded.count >= entrySize || index == elements.count - 1 {
        appendEntry(count: index + 1 - first, encoded.copyBytes(), to: &writer)
        encoded.removeAll()
        first = index + 1
      }
    }
  }

  @usableFromInline static func appendEntry(count: Int, _ elements: Bytes, to writer: inout ByteWriter) {
    var payload = ByteWriter(capacity: elements.count + 16)
    payload.append(unsignedVarint: UInt64(count))
    payload.append(elements)
    writer.append(Journal.encoded(JournalEntry(version: version, payload: payload.finish())))
  }

  /// Reads a file's elements, in chunks of an entry.
  static func read<Element: StreamCodable>(
    _ input: InputFile, in files: any FileStore, _ task: TaskContext,
    _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    // A journal's visitor may throw one type only: what the rest threw stands here meanwhile.
    var failure: (any Error)?
    let scan: JournalScan
    do {
      scan = try Journal.scan(input.path, in: files) { entry, position throws(JournalError) in
        do {
          guard entry.version == version else {
            throw FileStreamingError.damagedObjectFile(
              path: input.path, position: position, reason: "version \(entry.version)")
          }
          var output = Chunk<Element>()
          var reader = StreamReader(entry.payload)
          do {
            let count = try reader.readCount()
            for _ in 0..<count { output.append(try Element.decode(from: &reader)) }
            guard reader.remaining == 0 else { throw reader.fail("\(reader.remaining) bytes too many") }
          } catch {
            throw FileStreamingError.damagedObjectFile(path: input.path, position: position, reason: "\(error)")
          }
          task.recordsRead += output.count
          if output.count > 0 { try emit(output.view) }
        } catch {
          failure = error
          throw JournalError(.malformedEntry(position: position), path: input.path)
        }
      }
    } catch {
      throw failure ?? error
    }
    guard scan.tailBytes == 0 else {
      throw FileStreamingError.damagedObjectFile(
        path: input.path, position: scan.validBytes, reason: "\(scan.tailBytes) bytes are no entry")
    }
    guard scan.validBytes >= input.size else { throw FileStreamingError.fileChanged(input.path) }
  }
}
