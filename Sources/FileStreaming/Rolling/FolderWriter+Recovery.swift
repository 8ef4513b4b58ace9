import Groundwork
import SystemInterfaces

extension FolderWriter {
  // What a batch left that was not decided, by this run or one before: it is dropped in the manifest first, then taken out
  // of the files.

  /// Drops a batch in the manifest, where it is prepared there; false where nobody can say that it is not.
  func isDroppable(_ batch: Int64) -> Bool {
    if manifest.isBroken { return false }
    guard state.prepared?.batch == batch else { return true }
    do {
      try manifest.append(.dropped(epoch: manifest.epoch, batch: batch), sync: false)
      return true
    } catch {
      log("\(error)")
      return false
    }
  }

  /// Cuts files to what counts and removes those to which nothing was committed.
  func takeBack(touched: [Int64], made: [Int64]) {
    do {
      for number in touched.sorted() where !made.contains(number) {
        if let stored = state.files[number], stored.phase == .open { try openFiles.cutTail(of: stored) }
      }
      var removed: [Int64] = []
      for number in made.sorted() {
        guard let stored = state.files[number], stored.batches == 0 else { continue }
        try openFiles.remove(stored)
        removed.append(number)
      }
      if !removed.isEmpty { try manifest.append(.removed(epoch: manifest.epoch, removed), sync: false) }
    } catch {
      log("\(settings.folder): what a failed batch left could not be removed yet: \(error)")
    }
  }

  /// Drops what is prepared and cannot be committed any more.
  func dropPrepared() throws {
    guard let prepared = state.prepared else { return }
    try manifest.append(.dropped(epoch: manifest.epoch, batch: prepared.batch), sync: true)
    let touched = prepared.files.compactMap { state.files[$0.number] }
    for change in prepared.files where change.length > state.files[change.number]?.length ?? 0 {
      openFiles.tailBegins(change.number)
    }
    takeBack(
      touched: prepared.files.map(\.number), made: touched.filter { $0.batches == 0 }.map(\.number))
    for file in touched {
      if let stored = state.files[file.number], stored.phase == .open, stored.batches > 0 {
        openFiles.goOn(with: stored)
      } else {
        openFiles.forget(file)
      }
    }
  }

  /// Makes the manifest whole after a write or a sync that failed; and removes the files that a batch had made which could
  /// not be taken back then.
  /// - Throws: also where what failed was a decision: only a start finds out what the manifest holds of it.
  func makeWhole() throws {
    guard manifest.isBroken else { return }
    if let undecided {
      throw FileStreamingError.outOfOrder(
        settings.folder, reason: "whether batch \(undecided) was decided is known after a start only")
    }
    try manifest.rewrite()
    log("\(settings.folder): the manifest is written anew, since what its end held was not known after a failure")
    let busy = busyFiles
    takeBack(touched: [], made: state.files(.open).map(\.number).filter { !busy.contains($0) })
  }

  /// The files of the batch that is prepared.
  var busyFiles: Set<Int64> {
    Set((pending?.change ?? state.prepared)?.files.map(\.number) ?? []).union(pending?.made ?? [])
  }

  /// Settles what an earlier run left prepared.
  /// - Parameter decided: the last decided batch, nil where there is none.
  func recover(through decided: Int64?) throws {
    if let prepared = state.prepared, pending == nil {
      if let decided, prepared.batch <= decided {
        try checkIsWhole(prepared)
        try manifest.append(.committed(epoch: manifest.epoch, batch: prepared.batch), sync: true)
        committed(prepared)
        try manifest.checkEpoch()
      } else {
        try dropPrepared()
      }
    }
    guard state.lastBatch == 0 || decided ?? 0 >= state.lastBatch else {
      guard settings.acceptsRepeats else {
        throw FileStreamingError.folderAhead(settings.folder, committed: state.lastBatch, decided: decided)
      }
      log(
        "\(settings.folder) holds batches up to \(state.lastBatch), of which the job does not know: some may come again"
      )
      return isSettled = false
    }
    isSettled = true
  }

  /// Fails where what was decided elsewhere is not there.
  private func checkIsWhole(_ prepared: BatchChange) throws {
    for change in prepared.files {
      guard let stored = state.files[change.number] else { continue }
      let path = absolute(stored.hiddenPath)
      let size = try files.attributes(path)?.size ?? 0
      guard size >= change.length else {
        throw FileStreamingError.damagedFile(path, reason: "it has \(size) bytes, \(change.length) were committed")
      }
    }
  }
}
