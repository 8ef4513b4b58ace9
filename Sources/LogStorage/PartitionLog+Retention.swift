import Groundwork
import Journals
import SystemInterfaces

/// What maintenance did.
public struct Maintenance: Sendable, Equatable {
  /// The active segment was sealed and a new one begun.
  public var rolled = false
  /// Segments removed, and their bytes.
  public var removedSegments = 0
  /// Bytes of log in the segments removed.
  public var removedBytes: Int64 = 0
}

extension PartitionLog {
  /// Rolls the active segment if it is old enough, removes segments that retention no longer keeps, and forgets idle
  /// producers. Called every `log.retention.check.interval.ms`.
  ///
  /// As in Kafka, an active segment whose newest record has passed `retention.ms` is rolled and removed as well.
  ///
  /// - Parameter now: the wall clock.
  public func maintain(now: Timestamp) throws(LogError) -> Maintenance {
    try requireOnline()
    var report = Maintenance()
    producers.removeIdle(before: now.milliseconds - environment.producerExpiration.inMilliseconds)
    if active.size > 0, isAged(active, timestamp: now.milliseconds, now: now) || isExpired(active, now: now) {
      try roll(now: now)
      report.rolled = true
    }
    while segments.count > 1 {
      let oldest = segments[0]
      guard oldest.endOffset <= highWatermark.rawValue, isExpired(oldest, now: now) || isExcess(oldest) else { break }
      try storing { () throws(FileError) in try oldest.remove() }
      segments.removeFirst()
      report.removedSegments += 1
      report.removedBytes += oldest.size
    }
    return report
  }

  private func isExpired(_ segment: Segment, now: Timestamp) -> Bool {
    guard let retention = configuration.retention else { return false }
    let newest = segment.maxTimestamp >= 0 ? segment.maxTimestamp : segment.created.milliseconds
    return now.milliseconds - newest > retention.inMilliseconds
  }

  /// Whether the rest alone still fills `retention.bytes`.
  private func isExcess(_ segment: Segment) -> Bool {
    guard let limit = configuration.retentionBytes else { return false }
    return byteCount - segment.size >= limit
  }

  /// Whether the segment has reached `segment.ms`, less its share of the jitter: counted in record time from its first
  /// record, or by the wall clock where records have no time.
  func isAged(_ segment: Segment, timestamp: Int64, now: Timestamp) -> Bool {
    let jitterMax = configuration.segmentJitter.inMilliseconds
    let jitter =
      jitterMax == 0
      ? 0 : Int64(Bytes(segment.logPath).fastHash(seed: 0) % UInt64(min(jitterMax, .max - 1) + 1))
    let limit = max(configuration.segmentAge.inMilliseconds - jitter, 1)
    guard let first = segment.firstTimestamp, timestamp >= 0 else {
      return now.milliseconds - segment.created.milliseconds > limit
    }
    return timestamp - first > limit
  }

  /// Seals the active segment and begins a new one at the log's end.
  func roll(now: Timestamp) throws(LogError) {
    let sealed = active
    do throws(FileError) {
      try sealed.seal()
      let segment = Segment(
        baseOffset: sealed.endOffset, directory: directory, files: environment.files, created: now)
      _ = try environment.files.open(segment.logPath, .create)
      if environment.flushPolicy == .sync {
        // The flush to come covers the new file only.
        if isDirty { try sealed.file().sync() }
        try environment.files.syncDirectory(directory)
      }
      segments.append(segment)
      try checkpoint(after: sealed)
    } catch {
      // A segment half sealed would take appends that its index does not show.
      isOffline = true
      throw LogError(error)
    }
    isDirty = false
  }

  /// Makes the sealed segment durable together with the producers' state at its end, then notes that recovery need not
  /// scan it again. Runs in the background where there is one; it works on open files only, so that nothing happens to
  /// the folder should the topic have been deleted, and made again, meanwhile.
  private func checkpoint(after sealed: Segment) throws(FileError) {
    let files = environment.files
    let snapshot = try files.open(Segment.path(directory, sealed.endOffset, "snapshot"), .create)
    let checkpoint: any File
    if let open = checkpointFile {
      checkpoint = open
    } else {
      checkpoint = try files.open(directory + "/" + Checkpoint.name, .readWrite)
      checkpointFile = checkpoint
    }
    var writer = ByteWriter()
    producers.encode(to: &writer)
    let state = JournalEntry(version: ProducerStates.snapshotVersion, payload: writer.finish())
    let mark = Checkpoint(recoveryOffset: sealed.endOffset).entry
    let sealedFile = try sealed.file()
    let synced: [any File] = [
      sealedFile, sealed.offsets.sealedFile, sealed.times.sealedFile, sealed.transactions.sealedFile,
    ]
    .compactMap { $0 }
    let directory = directory
    let work: @Sendable () -> Void = {
      // Should any step fail, the checkpoint stays where it was, and a recovery has more to scan; nothing is lost.
      do throws(FileError) {
        for file in synced { try file.sync() }
        try snapshot.write(at: 0, Journal.encoded(state))
        try snapshot.sync()
        try files.syncDirectory(directory)
        try checkpoint.write(at: 0, Journal.encoded(mark))
        try checkpoint.sync()
      } catch {}
    }
    if let background = environment.background { background.post(work) } else { work() }
    // The snapshot before the one just made has served: its segment's end is known from the checkpoint.
    for name in try files.list(directory) {
      guard let base = Segment.baseOffset(ofName: name, suffix: "snapshot"), base < sealed.baseOffset else { continue }
      try files.removeFile(directory + "/" + name)
    }
  }
}
