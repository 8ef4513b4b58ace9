import Groundwork
import SystemInterfaces

/// An entry of an index file: of fixed size, in ascending order.
protocol IndexEntry {
  static var size: Int { get }
  /// Reads the entry at the start of `raw`, which holds at least `size` bytes.
  init(_ raw: UnsafeRawBufferPointer)
  func append(to writer: inout ByteWriter)
}

/// `.index`: where the batch that ends with an offset begins. Kafka's form: relative offset 4 bytes, position 4 bytes.
struct OffsetEntry: IndexEntry, Equatable {
  static var size: Int { 8 }
  /// The last offset of the batch, less the segment's base offset.
  var relativeOffset: Int64
  /// Where the batch begins in the segment's file.
  var position: Int64

  init(relativeOffset: Int64, position: Int64) {
    self.relativeOffset = relativeOffset
    self.position = position
  }

  init(_ raw: UnsafeRawBufferPointer) {
    relativeOffset = Int64(UInt32(bigEndian: raw.loadUnaligned(as: UInt32.self)))
    position = Int64(UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
  }

  func append(to writer: inout ByteWriter) {
    writer.append(bigEndian: UInt32(truncatingIfNeeded: relativeOffset))
    writer.append(bigEndian: UInt32(truncatingIfNeeded: position))
  }
}

/// `.timeindex`: the largest timestamp up to a batch, and the last offset of the batch that brought it. Kafka's form:
/// timestamp 8 bytes, relative offset 4 bytes. Timestamps strictly ascend, so every batch before the named one has
/// smaller ones.
struct TimeEntry: IndexEntry, Equatable {
  static var size: Int { 12 }
  var timestamp: Int64
  var relativeOffset: Int64

  init(timestamp: Int64, relativeOffset: Int64) {
    self.timestamp = timestamp
    self.relativeOffset = relativeOffset
  }

  init(_ raw: UnsafeRawBufferPointer) {
    timestamp = Int64(bigEndian: raw.loadUnaligned(as: Int64.self))
    relativeOffset = Int64(UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
  }

  func append(to writer: inout ByteWriter) {
    writer.append(bigEndian: timestamp)
    writer.append(bigEndian: UInt32(truncatingIfNeeded: relativeOffset))
  }
}

/// A sparse index of one segment: in memory while the segment is written, in its file alone afterwards, where it is
/// searched by a few small reads; so old segments cost no memory.
///
/// The file is written once, when the segment is sealed. Until then a death of the process loses the index, and the
/// recovery scan, which reads the active segment anyway, makes it again.
struct SparseIndex<Entry: IndexEntry> {
  let path: String
  /// The entries of a segment that is being written.
  private var resident: [Entry]?
  private var file: (any File)?
  private(set) var count: Int

  /// An empty index of a segment that is being written.
  init(path: String) {
    self.path = path
    resident = []
    count = 0
  }

  /// The index of a sealed segment; nil where its file is missing or its size is no multiple of an entry's.
  static func openSealed(_ path: String, in files: any FileStore) throws(FileError) -> SparseIndex? {
    guard let attributes = try files.attributes(path), attributes.size % Int64(Entry.size) == 0 else { return nil }
    var index = SparseIndex(path: path)
    index.resident = nil
    index.file = try files.open(path, .read)
    index.count = Int(attributes.size) / Entry.size
    return index
  }

  mutating func append(_ entry: Entry) {
    resident?.append(entry)
    count += 1
  }

  /// Writes the file and lets go of the memory.
  mutating func seal(in files: any FileStore) throws(FileError) {
    guard let entries = resident else { return }
    var writer = ByteWriter(capacity: entries.count * Entry.size)
    for entry in entries { entry.append(to: &writer) }
    let file = try files.open(path, .create)
    try file.write(at: 0, writer.finish())
    self.file = file
    resident = nil
  }

  /// Reads a sealed index back into memory, to go on writing its segment.
  mutating func unseal() throws(FileError) {
    guard resident == nil else { return }
    resident = try read(0..<count)
    file = nil
  }

  func sync() throws(FileError) { try file?.sync() }
  /// The file, once sealed.
  var sealedFile: (any File)? { file }

  var last: Entry? {
    get throws(FileError) { count == 0 ? nil : try read(count - 1..<count).first }
  }

  /// The last entry for which `isBefore` holds; it must hold for a prefix of the entries. O(log n) comparisons, and
  /// reads of at most 4 KiB.
  func last(where isBefore: (Entry) -> Bool) throws(FileError) -> Entry? {
    if let resident {
      let found = SparseIndex.partitionPoint(resident, isBefore)
      return found == 0 ? nil : resident[found - 1]
    }
    var low = 0
    var high = count
    let block = 4096 / Entry.size
    while high - low > block {
      let middle = (low + high) / 2
      guard let entry = try read(middle..<middle + 1).first else { return nil }
      if isBefore(entry) { low = middle } else { high = middle }
    }
    let entries = try read(low..<high)
    let found = SparseIndex.partitionPoint(entries, isBefore)
    return found == 0 ? nil : entries[found - 1]
  }

  private static func partitionPoint(_ entries: [Entry], _ isBefore: (Entry) -> Bool) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if isBefore(entries[middle]) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func read(_ range: Range<Int>) throws(FileError) -> [Entry] {
    if let resident { return Array(resident[range]) }
    guard let file else { return [] }
    let bytes = try file.read(at: Int64(range.lowerBound * Entry.size), count: range.count * Entry.size)
    return bytes.withUnsafeBytes { raw in
      (0..<raw.count / Entry.size).map { Entry(UnsafeRawBufferPointer(rebasing: raw[($0 * Entry.size)...])) }
    }
  }
}
