import Groundwork
import Journals
import SystemInterfaces

extension StateStore {
  /// Opens the folder, made if need be, and gives every change up to a version, oldest first.
  ///
  /// Everything behind the version is cut off: it was prepared by a batch that was never decided.
  /// - Parameters:
  ///   - version: the last decided batch; 0 in a first run.
  ///   - lastChange: the last batch that changed state, where the commit log tells; what is on disk must agree.
  ///   - visit: called with each block; for one key the later one holds.
  /// - Complexity: O(bytes of the snapshot and the log).
  package static func open(
    folder: String, files: any FileStore, version: BatchNumber, lastChange: Int64?,
    visit: (StateBlock) throws(StreamingError) -> Void
  ) throws(StreamingError) -> StateStore {
    let store = StateStore(folder: folder, files: files)
    do {
      try files.createDirectories(folder)
      try store.recover(version.rawValue, lastChange, visit)
    } catch let error as StreamingError {
      throw error
    } catch {
      throw failure("the state in \(folder) cannot be read", error)
    }
    return store
  }

  private func recover(
    _ version: Int64, _ lastChange: Int64?, _ visit: (StateBlock) throws(StreamingError) -> Void
  ) throws {
    let names = try files.list(folder)
    for name in names where name.hasSuffix(".new") && name.hasPrefix("snapshot-") { try files.removeFile(path(name)) }
    let snapshots = names.compactMap(Self.snapshotRange).sorted { $0 < $1 }
    if let ahead = snapshots.first(where: { $0.to > version }) {
      throw StreamingError.checkpoint(
        "the state in \(folder) is that of batch \(ahead.to), the commit log ends with batch \(version): it was lost or "
          + "belongs to another run. Put back the log, or start anew with another checkpoint folder")
    }
    var from: Int64 = 0
    if let newest = snapshots.last {
      from = newest.from
      lastDelta = try readSnapshot(newest.name, visit)
      snapshotFile = newest.name
      snapshotBytes = try files.attributes(path(newest.name))?.size ?? 0
      for old in snapshots.dropLast() { try files.removeFile(path(old.name)) }
    }
    let numbers = names.compactMap(Self.segmentNumber).sorted()
    let cuts = try readLog(numbers, from: from, version: version, visit)
    if let lastChange, lastChange != lastDelta {
      throw damaged(
        "the commit log says that batch \(lastChange) was the last to change it, and it ends with batch \(lastDelta)")
    }
    try perform(cuts)
  }

  private func damaged(_ why: String) -> StreamingError {
    .checkpoint(
      "the state in \(folder) is damaged: \(why). Put back a copy of the checkpoint folder, or start anew with another")
  }

  private func readSnapshot(
    _ name: String, _ visit: (StateBlock) throws(StreamingError) -> Void
  ) throws -> Int64 {
    var deltaBefore: Int64 = 0
    var blocks: UInt64 = 0
    var isWhole = false
    let failed = Failure()
    _ = try Journal.scan(path(name), in: files) { entry, position throws(JournalError) in
      try self.failing(failed, position, name) { () throws(StreamingError) in
        switch try self.record(entry, name) {
        case .block(_, let block):
          blocks += 1
          try visit(block)
        case .snapshotStart(let lastDelta): deltaBefore = lastDelta
        case .snapshotEnd(let count): isWhole = count == blocks
        case .batchEnd: throw self.damaged("\(name) holds the end of a batch")
        }
      }
    }
    if let error = failed.error { throw error }
    guard isWhole else { throw damaged("\(name) is not whole") }
    return deltaBefore
  }

  /// What a segment of the log is cut to; nil: all of it is behind the version.
  private struct Cut {
    var number: Int
    var kept: Int64?
    var size: Int64
  }

  /// Reads the log and changes nothing: what is cut off is decided only when everything was found to be there.
  private func readLog(
    _ numbers: [Int], from: Int64, version: Int64, _ visit: (StateBlock) throws(StreamingError) -> Void
  ) throws -> [Cut] {
    var cuts: [Cut] = []
    var isBehind = false
    let failed = Failure()
    for number in numbers {
      let name = Self.segmentName(number)
      let size = try files.attributes(path(name))?.size ?? 0
      guard !isBehind else {
        cuts.append(Cut(number: number, kept: nil, size: size))
        continue
      }
      var kept: Int64 = 0
      var unfinished: Int64?
      _ = try Journal.scan(path(name), in: files) { entry, position throws(JournalError) in
        if isBehind { return }
        try self.failing(failed, position, name) { () throws(StreamingError) in
          switch try self.record(entry, name) {
          case .block(let batch, _) where batch > version, .batchEnd(let batch, _) where batch > version:
            isBehind = true
          case .block(let batch, let block):
            guard batch > from else { return }
            unfinished = batch
            try visit(block)
          case .batchEnd(let batch, let before):
            guard batch <= from || before == self.lastDelta else {
              throw self.damaged("\(name) misses batch \(before)")
            }
            if batch > from { self.lastDelta = batch }
            unfinished = nil
            kept = position + Self.entryHeaderSize + Int64(entry.payload.count)
          case .snapshotStart, .snapshotEnd: throw self.damaged("\(name) holds a part of a snapshot")
          }
        }
      }
      if let error = failed.error { throw error }
      if let unfinished { throw damaged("\(name) ends within batch \(unfinished)") }
      cuts.append(Cut(number: number, kept: kept, size: size))
    }
    return cuts
  }

  /// Cuts off what was prepared and never decided, and torn ends.
  private func perform(_ cuts: [Cut]) throws(FileError) {
    for cut in cuts {
      let name = Self.segmentName(cut.number)
      lastSegmentNumber = cut.number
      guard let kept = cut.kept else {
        try files.removeFile(path(name))
        continue
      }
      let opened = try files.open(path(name), .readWrite)
      if kept < cut.size {
        try opened.truncate(to: kept)
        try opened.sync()
      }
      file = opened
      segments.append((cut.number, kept))
    }
    try files.syncDirectory(folder)
  }

  /// The first error of a scan: `Journal.scan` lets only its own kind through.
  private final class Failure {
    var error: StreamingError?
  }

  private func failing(
    _ failure: Failure, _ position: Int64, _ name: String, _ body: () throws(StreamingError) -> Void
  ) throws(JournalError) {
    do throws(StreamingError) {
      try body()
    } catch {
      failure.error = error
      throw JournalError(.malformedEntry(position: position), path: path(name))
    }
  }

  private enum Record {
    case block(batch: Int64, StateBlock)
    case batchEnd(batch: Int64, before: Int64)
    case snapshotStart(lastDelta: Int64)
    case snapshotEnd(blocks: UInt64)
  }

  private func record(_ entry: JournalEntry, _ name: String) throws(StreamingError) -> Record {
    guard entry.version == StateStore.version else {
      throw .checkpoint("\(path(name)) has version \(entry.version): it was written by a later release, run that one")
    }
    var reader = StreamReader(entry.payload)
    do throws(StreamDecodingError) {
      let kind = try reader.readByte()
      switch Kind(rawValue: kind) {
      case .block:
        let batch = Int64(truncatingIfNeeded: try reader.readUnsigned())
        let operatorID = Int(truncatingIfNeeded: try reader.readUnsigned())
        let partition = Int(truncatingIfNeeded: try reader.readUnsigned())
        return .block(
          batch: batch,
          StateBlock(operatorID: operatorID, partition: partition, changes: try reader.read(reader.remaining)))
      case .batchEnd:
        let batch = Int64(truncatingIfNeeded: try reader.readUnsigned())
        return .batchEnd(batch: batch, before: Int64(truncatingIfNeeded: try reader.readUnsigned()))
      case .snapshotStart:
        _ = try reader.readUnsigned()
        return .snapshotStart(lastDelta: Int64(truncatingIfNeeded: try reader.readUnsigned()))
      case .snapshotEnd:
        _ = try reader.readUnsigned()
        return .snapshotEnd(blocks: try reader.readUnsigned())
      case nil: throw reader.fail("an entry of kind \(kind)")
      }
    } catch {
      throw damaged("\(name): \(error)")
    }
  }

  private static func segmentNumber(_ name: String) -> Int? {
    guard name.hasPrefix("deltas-"), name.hasSuffix(".journal") else { return nil }
    return Int(name.dropFirst("deltas-".count).dropLast(".journal".count))
  }

  private static func snapshotRange(_ name: String) -> SnapshotName? {
    guard name.hasPrefix("snapshot-"), name.hasSuffix(".journal") else { return nil }
    let parts = name.dropFirst("snapshot-".count).dropLast(".journal".count).split(separator: "-")
    guard parts.count == 2, let from = Int64(parts[0]), let to = Int64(parts[1]) else { return nil }
    return SnapshotName(name: name, from: from, to: to)
  }
}

/// A published snapshot, by its file name.
private struct SnapshotName: Comparable {
  var name: String
  var from: Int64
  var to: Int64
  static func < (a: SnapshotName, b: SnapshotName) -> Bool { (a.from, a.to) < (b.from, b.to) }
}
