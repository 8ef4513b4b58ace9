import Groundwork
import Journals
import KafkaProtocol
import SystemInterfaces

/// What opening a log found and did.
public struct LogRecovery: Sendable, Equatable {
  /// The last close was clean: nothing was scanned.
  public var wasClean = false
  /// Bytes of log whose checksums were verified.
  public var scannedBytes: Int64 = 0
  /// Bytes cut off the end: a torn or damaged tail and all that stood behind it.
  public var cutBytes: Int64 = 0
  /// Why, and where; nil where nothing was cut.
  public var cutReason: String?
  /// Indexes that were missing or did not fit and were made again.
  public var rebuiltIndexes = 0

  /// Nothing found, nothing done.
  public init() {}
}

extension PartitionLog {
  /// Opens the log in `directory`, made if need be.
  ///
  /// After a clean close nothing is scanned. Otherwise the batches since the last checkpoint are read and their
  /// checksums verified; the log is cut before the first bad one. Indexes that are missing or do not fit are made again,
  /// the producers' state, with their open transactions, is taken from its snapshot and the scanned batches.
  ///
  /// - Parameter now: the wall clock.
  /// - Complexity: O(bytes since the checkpoint) after a death, else O(segments).
  public static func open(
    _ directory: String, _ configuration: LogConfiguration, _ environment: LogEnvironment, now: Timestamp
  ) throws(LogError) -> (log: PartitionLog, recovery: LogRecovery) {
    let files = environment.files
    let segments = try storing { () throws(FileError) in try findSegments(directory, environment, now: now) }
    let log = PartitionLog(
      directory: directory, configuration: configuration, environment: environment, segments: segments)
    var recovery = LogRecovery()
    let markerPath = directory + "/" + CleanMarker.name
    let marker = try journaling { () throws(JournalError) in try Journal.first(of: markerPath, in: files) }
    try storing { () throws(FileError) in
      if try files.attributes(markerPath) != nil { try files.removeFile(markerPath) }
    }
    if let marker = marker.flatMap(CleanMarker.init), marker.activeBase == log.active.baseOffset,
      marker.activeSize == log.active.size
    {
      try log.openClean(marker, &recovery, now: now)
    } else {
      try log.recover(&recovery, now: now)
    }
    log.highWatermark = log.endOffset
    return (log, recovery)
  }

  /// Closes the log so that the next open need not scan it. Under either policy everything is durable when it returns;
  /// the log is not usable afterwards.
  public func close() throws(LogError) {
    try requireOnline()
    defer { retire() }
    try storing { () throws(FileError) in
      let segment = active
      try segment.seal()
      try segment.file().sync()
      try segment.offsets.sync()
      try segment.times.sync()
      try segment.transactions.sync()
      let marker = CleanMarker(segment, producers)
      try environment.files.replace(directory + "/" + CleanMarker.name, with: Journal.encoded(marker.entry))
      try environment.files.syncDirectory(directory)
    }
  }

  /// The segments as the folder names them, the last one writable; files of segments that are gone are removed.
  private static func findSegments(
    _ directory: String, _ environment: LogEnvironment, now: Timestamp
  ) throws(FileError) -> [Segment] {
    let files = environment.files
    try files.createDirectories(directory)
    let names = try files.list(directory)
    var bases = Set<Int64>()
    var segments: [Segment] = []
    for name in names {
      guard let base = Segment.baseOffset(ofName: name, suffix: "log"),
        let attributes = try files.attributes(directory + "/" + name)
      else { continue }
      bases.insert(base)
      let segment = Segment(baseOffset: base, directory: directory, files: files, created: attributes.modified)
      segment.size = attributes.size
      segments.append(segment)
    }
    segments.sort { $0.baseOffset < $1.baseOffset }
    for name in names {
      let isOrphan = ["index", "timeindex", "txnindex", "snapshot"].contains { suffix in
        Segment.baseOffset(ofName: name, suffix: suffix).map { !bases.contains($0) } ?? false
      }
      if isOrphan || name.hasSuffix(".new") { try files.removeFile(directory + "/" + name) }
    }
    if segments.isEmpty {
      let segment = Segment(baseOffset: 0, directory: directory, files: files, created: now)
      _ = try files.open(segment.logPath, .create)
      if environment.flushPolicy == .sync { try files.syncDirectory(directory) }
      segments = [segment]
    }
    for (segment, next) in zip(segments, segments.dropFirst()) { segment.endOffset = next.baseOffset }
    return segments
  }

  private func openClean(
    _ marker: CleanMarker, _ recovery: inout LogRecovery, now: Timestamp
  ) throws(LogError) {
    recovery.wasClean = true
    try storing { () throws(FileError) in
      var isWhole = true
      var isActiveWhole = true
      for segment in segments {
        isActiveWhole = try segment.openTransactions() || segment.size == 0
        if !isActiveWhole { isWhole = false }
        if segment !== active { try openSealed(segment, isWhole: isActiveWhole, &recovery) }
      }
      active.transactions.unseal()
      active.endOffset = marker.endOffset
      if active.size == 0 {
        active.resetIndexes()
      } else if try active.openIndexes() {
        try active.unseal()
      } else {
        try rebuildIndexes(active)
        isActiveWhole = false
      }
      if !isActiveWhole { recovery.rebuiltIndexes += 1 }
      active.maxTimestamp = marker.maxTimestamp
      active.offsetOfMaxTimestamp = marker.offsetOfMaxTimestamp
      active.firstTimestamp = marker.firstTimestamp < 0 ? nil : marker.firstTimestamp
      active.bytesSinceIndexEntry = Int(marker.bytesSinceIndexEntry)
      if !isWhole {
        _ = try rebuildTransactions(before: segments.count, now: now)
        active.transactions.unseal()
      }
    }
    producers = marker.producers
  }

  /// - Parameter isWhole: whether the index of aborted transactions was there; if not the caller makes it again.
  private func openSealed(_ segment: Segment, isWhole: Bool, _ recovery: inout LogRecovery) throws(FileError) {
    let hasPlaces = try segment.openIndexes()
    if !hasPlaces {
      try rebuildIndexes(segment)
      try segment.sealPlaces()
    }
    if !hasPlaces || !isWhole { recovery.rebuiltIndexes += 1 }
  }

  /// Makes a segment's indexes by offset and by time again from its headers; the batches themselves are trusted.
  private func rebuildIndexes(_ segment: Segment) throws(FileError) {
    var walker = BatchWalker(try segment.file(), from: 0, limit: segment.size)
    let (size, end) = (segment.size, segment.endOffset)
    segment.resetIndexes()
    while let found = try walker.next() {
      segment.note(found.header, at: found.position, indexInterval: configuration.indexIntervalBytes)
    }
    segment.size = size
    segment.endOffset = end
  }

  private func recover(_ recovery: inout LogRecovery, now: Timestamp) throws(LogError) {
    let files = environment.files
    let entry = try journaling { () throws(JournalError) in
      try Journal.first(of: directory + "/" + Checkpoint.name, in: files)
    }
    let recoveryOffset = entry.flatMap(Checkpoint.init)?.recoveryOffset ?? 0
    let firstScanned = segments.firstIndex { $0.baseOffset >= recoveryOffset } ?? segments.count - 1
    let snapshot = try journaling { () throws(JournalError) in
      try Journal.first(
        of: Segment.path(directory, segments[firstScanned].baseOffset, "snapshot"), in: files)
    }
    let known = snapshot.flatMap { entry -> ProducerStates? in
      guard entry.version == ProducerStates.snapshotVersion else { return nil }
      var reader = PayloadReader(entry.payload)
      return try? ProducerStates(from: &reader)
    }
    if let known { producers = known }
    try storing { () throws(FileError) in
      var isWhole = known != nil
      for segment in segments[..<firstScanned] {
        let hasTransactions = try segment.openTransactions()
        if !hasTransactions { isWhole = false }
        try openSealed(segment, isWhole: hasTransactions, &recovery)
      }
      if !isWhole {
        let states = try rebuildTransactions(before: firstScanned, now: now)
        if known == nil { producers = states }
      }
      try scan(from: firstScanned, &recovery, now: now)
    }
  }

  /// Verifies segments from `first` on, fills their indexes, and cuts the log before the first bad batch.
  private func scan(from first: Int, _ recovery: inout LogRecovery, now: Timestamp) throws(FileError) {
    for index in first..<segments.count {
      let segment = segments[index]
      let size = segment.size
      let file = try segment.file()
      segment.resetIndexes()
      segment.resetTransactions()
      var scan = RecoveryScan(file, size: size)
      var damage: String?
      while true {
        switch try scan.next(expected: segment.endOffset) {
        case .batch(let header, let position):
          segment.note(header, at: position, indexInterval: configuration.indexIntervalBytes)
          try replay(header, at: position, of: segment, into: &producers, now: now)
          continue
        case .damage(let reason): damage = reason
        case .end: break
        }
        break
      }
      recovery.scannedBytes += segment.size
      if let damage {
        recovery.cutBytes += size - segment.size
        recovery.cutReason = "\(damage) at byte \(segment.size) of \(segment.logPath)"
        try file.truncate(to: segment.size)
        try file.sync()
        for later in segments[(index + 1)...].reversed() {
          recovery.cutBytes += later.size
          try later.remove()
        }
        segments.removeSubrange((index + 1)...)
        return
      }
      if index < segments.count - 1 {
        segment.endOffset = segments[index + 1].baseOffset
        try segment.seal()
      }
    }
  }
}

/// The forward scan of one segment's file, with checksums.
struct RecoveryScan {
  enum Step {
    case batch(RecordBatchHeader, position: Int64)
    case damage(String)
    case end
  }

  private let file: any File
  private let size: Int64
  private var position: Int64 = 0
  private var window = Bytes()
  private var windowStart: Int64 = 0

  private static var windowSize: Int { 1 << 20 }

  init(_ file: any File, size: Int64) {
    self.file = file
    self.size = size
  }

  /// The next batch, which must begin at `expected` or later.
  mutating func next(expected: Int64) throws(FileError) -> Step {
    guard position < size else { return .end }
    let rest = size - position
    guard rest >= Int64(RecordBatchLayout.records) else { return .damage("\(rest) bytes of a torn batch header") }
    let header = try bytes(at: position, count: RecordBatchLayout.records).withUnsafeBytes {
      RecordBatchHeader.read($0)
    }
    guard let header, header.baseOffset.rawValue >= expected else { return .damage("no batch header") }
    guard Int64(header.totalSize) <= rest else {
      return .damage("a torn batch, \(rest) bytes of \(header.totalSize)")
    }
    var crc = CRC32C()
    var checked = position + Int64(RecordBatchLayout.attributes)
    let end = position + Int64(header.totalSize)
    while checked < end {
      let piece = try bytes(at: checked, count: Int(min(end - checked, Int64(RecoveryScan.windowSize))))
      guard !piece.isEmpty else { return .damage("a batch that cannot be read") }
      crc.add(piece)
      checked += Int64(piece.count)
    }
    guard crc.value == header.crc else { return .damage("a batch with a wrong checksum") }
    defer { position = end }
    return .batch(header, position: position)
  }

  /// `count` bytes, at most a window, out of a window that is read ahead.
  private mutating func bytes(at start: Int64, count: Int) throws(FileError) -> Bytes {
    if start < windowStart || start + Int64(count) > windowStart + Int64(window.count) {
      window = try file.read(at: start, count: Int(min(size - start, Int64(RecoveryScan.windowSize))))
      windowStart = start
    }
    let offset = Int(start - windowStart)
    return window[offset..<min(offset + count, window.count)]
  }
}
