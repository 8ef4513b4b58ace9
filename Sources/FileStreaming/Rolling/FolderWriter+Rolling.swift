import Groundwork
import SystemInterfaces

extension FolderWriter {
  // When files are closed, by size with the batch that fills them, by age and by number with a batch or without; and how
  // they get their names.

  /// Makes an open file under a name that nothing has.
  func makeFile(in directory: String, _ work: inout PrepareWork) throws -> (Int64, any File) {
    var number = state.nextNumber
    func name(_ number: Int64) -> String { "part-\(padded(manifest.epoch, 5))-\(padded(number, 8))\(settings.ending)" }
    var new = OutputFile(number: number, directory: directory, name: name(number))
    // What lies there already, left by whoever removed the manifest, is never replaced.
    while try files.attributes(absolute(new.path)) != nil || files.attributes(absolute(new.hiddenPath)) != nil {
      number += 1
      new = OutputFile(number: number, directory: directory, name: name(number))
    }
    if !directory.isEmpty { try files.createDirectories(absolute(directory)) }
    try manifest.append(.created(epoch: manifest.epoch, [new]), sync: false)
    work.made.append(number)
    return (number, try files.open(absolute(new.hiddenPath), .create))
  }

  private func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  /// Has the batch close the files that are too old, and of too many those that were written least recently.
  func closeOverdue(_ work: inout PrepareWork) {
    func close(_ file: OutputFile) {
      work.changes[
        file.number,
        default: FileChange(
          number: file.number, length: file.length, crc: file.crc, records: file.records, closes: true)
      ].closes = true
    }
    let open = state.files(.open).filter { $0.batches > 0 || work.changes[$0.number] != nil }
    for file in open where file.batches > 0 && isOld(file, at: work.batch.time.milliseconds) { close(file) }
    var left = open.filter { work.changes[$0.number]?.closes != true }
    // Those of the batch itself come last; among them the order of their numbers decides, that of their directories.
    func age(_ file: OutputFile) -> (Int64, Int64) {
      (work.changes[file.number] == nil ? file.lastBatch : Int64.max, file.number)
    }
    left.sort { age($0) < age($1) }
    for file in left.dropLast(min(left.count, settings.rolling.openFilesMax)) { close(file) }
  }

  private func isOld(_ file: OutputFile, at time: Int64) -> Bool {
    time - file.opened >= settings.rolling.age.inMilliseconds
  }

  /// Gives closed files their names and keeps the manifest small. Called after each commit, and again after a failure.
  func settle() throws {
    let closed = state.files(.closed)
    if !closed.isEmpty {
      // A file may have its name only where the manifest will say, whatever happens, that it is closed.
      if isCommitLoose { try manifest.sync() }
      isCommitLoose = false
      // What is closed in a manifest that a successor has not read is not closed.
      try manifest.checkEpoch()
      for file in closed {
        try openFiles.cutTailForGood(of: file)
        openFiles.forget(file)
      }
      try FolderRecovery.place(closed, settings.folder, files)
      try manifest.append(.placed(epoch: manifest.epoch, closed.map(\.number)), sync: false)
    }
    try manifest.compactIfLarge()
  }

  /// Closes the files that are too old at a batch's time, with or without input in it.
  func closeAged(at time: Timestamp) throws {
    try close { isOld($0, at: time.milliseconds) }
  }

  /// Closes all files: the job ends.
  func closeAll() throws { try close { _ in true } }

  private func close(_ isDue: (OutputFile) -> Bool) throws {
    try makeWhole()
    let busy = busyFiles
    let due = state.files(.open).filter { $0.batches > 0 && !busy.contains($0.number) && isDue($0) }
    if !due.isEmpty {
      // What a failed batch left behind must be gone before the file is complete.
      for file in due { try openFiles.cutTailForGood(of: file) }
      try manifest.append(.closed(epoch: manifest.epoch, due.map(\.number)), sync: true)
      for file in due { openFiles.forget(file) }
      try manifest.checkEpoch()
    }
    try settle()
  }

  /// The batch time, in milliseconds, at which the next file is too old; the greatest number where none is open.
  var nextDue: Int64 {
    let opened = state.files.values.reduce(Int64.max) {
      $1.phase == .open && $1.batches > 0 ? min($0, $1.opened) : $0
    }
    let (due, overflow) = opened.addingReportingOverflow(settings.rolling.age.inMilliseconds)
    return overflow ? .max : due
  }
}
