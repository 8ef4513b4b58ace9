import Groundwork
import Journals
import SystemInterfaces

/// A snapshot while it is written, slice by slice.
struct SnapshotInProgress {
  /// Its values are of this version or later.
  var from: Int64
  var file: any File
  var bytes: Int64
  var unsynced: Int64
  var blocks: Int64
  /// Segments up to this one are not needed any more once it is published.
  var lastSegment: Int
}

extension StateStore {
  /// Bytes after which a snapshot's file is synced, so that its end need not wait for all of them.
  static var syncEvery: Int64 { 4 << 20 }

  /// Whether a snapshot is being written.
  package var isWritingSnapshot: Bool { snapshot != nil }

  /// Begins a snapshot: the batch just committed is the oldest whose state it will hold. The tables that it is written
  /// from must have that batch's changes in them before the first slice.
  package func beginSnapshot(_ version: BatchNumber) throws(StreamingError) {
    guard snapshot == nil else { return }
    do throws(FileError) {
      let file = try files.open(path("snapshot-\(version).new"), .create)
      snapshot = SnapshotInProgress(
        from: version.rawValue, file: file, bytes: 0, unsynced: 0, blocks: 0, lastSegment: segments.last?.number ?? 0)
      isSealed = true
      try write([Self.payload(.snapshotStart, [version.rawValue, lastDelta])])
    } catch {
      dropSnapshot()
      throw Self.failure("the state's snapshot cannot be begun", error)
    }
  }

  /// Adds a slice.
  /// - Parameter version: the last committed batch.
  /// - Throws: where it fails the snapshot is given up; the log keeps everything.
  package func writeSlice(_ blocks: [StateBlock], _ version: BatchNumber) throws(StreamingError) {
    guard snapshot != nil else { return }
    do throws(FileError) {
      try write(
        blocks.map {
          Self.payload(.block, [version.rawValue, Int64($0.operatorID), Int64($0.partition)], $0)
        })
      snapshot?.blocks += Int64(blocks.count)
    } catch {
      dropSnapshot()
      throw Self.failure("the state's snapshot cannot be written", error)
    }
  }

  /// Ends and publishes the snapshot, and removes what it stands for.
  /// - Parameter version: the last committed batch.
  package func publishSnapshot(_ version: BatchNumber) throws(StreamingError) {
    guard let begun = snapshot else { return }
    do throws(FileError) {
      try write([Self.payload(.snapshotEnd, [version.rawValue, begun.blocks])])
      guard let done = snapshot else { return }
      try done.file.sync()
      let name = "snapshot-\(done.from)-\(version).journal"
      try files.rename(path("snapshot-\(done.from).new"), to: path(name))
      // Only a snapshot whose name is durable stands for what is removed next.
      try files.syncDirectory(folder)
      if let old = snapshotFile, old != name { try files.removeFile(path(old)) }
      snapshotFile = name
      snapshotBytes = done.bytes
      snapshot = nil
      while let first = segments.first, first.number <= done.lastSegment {
        try files.removeFile(path(Self.segmentName(first.number)))
        segments.removeFirst()
      }
      if segments.isEmpty { file = nil }
    } catch {
      dropSnapshot()
      throw Self.failure("the state's snapshot cannot be published", error)
    }
  }

  private func write(_ payloads: [Bytes]) throws(FileError) {
    guard let current = snapshot else { return }
    var writer = ByteWriter()
    for payload in payloads {
      writer.append(Journal.encoded(JournalEntry(version: StateStore.version, payload: payload)))
    }
    let bytes = writer.finish()
    try current.file.write(at: current.bytes, bytes)
    snapshot?.bytes += Int64(bytes.count)
    snapshot?.unsynced += Int64(bytes.count)
    if current.unsynced + Int64(bytes.count) >= Self.syncEvery {
      try current.file.sync()
      snapshot?.unsynced = 0
    }
  }

  /// Gives up the snapshot that is being written; the log keeps everything.
  func dropSnapshot() {
    guard let begun = snapshot else { return }
    snapshot = nil
    // Left behind where this fails: the next start removes it.
    try? files.removeFile(path("snapshot-\(begun.from).new"))
  }
}
