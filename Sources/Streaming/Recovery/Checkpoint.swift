import Datasets
import Groundwork
import Journals
import SystemInterfaces

/// The folder in which a job keeps what a restart needs: `plans/` (written before a batch runs), `commits/` (after it),
/// `skipped.journal` (batches that the failure policy passed over), `job.text` (what the job looked like when it last
/// started), and what its participants keep beside. Data only: no closure, no graph, no configuration is in it.
///
/// Held by one process at a time, by a lock; a process that has lost it and does not know stops before it writes again,
/// by the writer's epoch. Belongs to the driver's loop.
package final class Checkpoint {
  /// When the logs are carried past a power loss; the death of the process alone never loses anything.
  package enum Sync: String, Sendable, CaseIterable {
    /// Never, but where a snapshot of the state stands for it: after a power loss the last decided batches may run again,
    /// divided in another way. The state goes back with them.
    case none
    /// Every decision about records: what was decided stays decided.
    case commits
    /// Plans as well: a batch that was under way runs again over exactly the same input.
    case all
  }

  /// The folder.
  package let directory: String
  /// What the logs held when they were opened.
  private var found: (commits: [BatchRecord], plans: [BatchRecord])
  /// Bytes of torn ends that were cut off.
  package let cutBytes: Int64
  private let plans: BatchJournal
  private let commits: BatchJournal
  let files: any FileStore
  private let sync: Sync
  private let lock: any FileLock
  /// Looked at before everything that is written.
  package let writer: WriterEpoch
  private var skipped: Journal?
  /// The last decided batch of this and earlier runs.
  package private(set) var last: BatchRecord?

  /// Opens the folder, made if need be, and takes its lock.
  /// - Parameters:
  ///   - jobName: the folder belongs to the job of this name from its first start on.
  ///   - processID: the number of this process, for whoever finds the folder locked.
  /// - Throws: `StreamingError.checkpoint` where the folder cannot be used, another process has it, or it belongs to
  ///   another job.
  package init(directory: String, files: any FileStore, jobName: String, processID: Int32? = nil, sync: Sync)
    throws(StreamingError)
  {
    self.directory = directory
    self.files = files
    self.sync = sync
    do {
      try files.createDirectories(directory)
      let process = processID.map { ", pid \($0)" } ?? ""
      lock = try files.lock("\(directory)/lock", holder: "job \(jobName)\(process)")
    } catch {
      if case .locked(let holder) = error.code {
        throw .checkpoint(
          "the checkpoint folder \(directory) is in use by \(holder): stop that first, or give this job another folder "
            + "with --checkpoint")
      }
      throw .checkpoint("the checkpoint folder \(directory) cannot be used: \(error)")
    }
    if let owner = try JobDescription.read(in: directory, files)?.job, owner != jobName {
      throw .checkpoint(
        "the checkpoint folder \(directory) belongs to the job \(owner), this one is \(jobName): give this job another "
          + "folder with --checkpoint, or the name it had with --name \(owner)")
    }
    do {
      writer = try WriterEpoch(of: directory, files)
    } catch let error as StreamingError {
      throw error
    } catch {
      throw .checkpoint("the checkpoint folder \(directory) cannot be used: \(error)")
    }
    commits = try BatchJournal(directory: "\(directory)/commits", files: files)
    plans = try BatchJournal(directory: "\(directory)/plans", files: files)
    found = (commits.recent, plans.recent)
    cutBytes = commits.cutBytes + plans.cutBytes
    last = commits.recent.last
    commits.forgetRecent()
    plans.forgetRecent()
  }

  /// Decides what the start does, once the decider has said what it decided last, and makes the commit log whole.
  /// - Parameters:
  ///   - decided: the decider's last decision; nil where it has none or there is no decider.
  ///   - name: the decider's name; nil where there is none, or it may forget.
  package func settle(_ decided: Decision?, of name: String?) throws(StreamingError) -> RecoveryDecision {
    if let decided, decided.batch > (last?.batch.number ?? 0).next {
      // A power loss has taken more than one record: those of the batches between may stand further back.
      found.plans = try BatchJournal.records(in: "\(directory)/plans", files)
    }
    // What follows cuts what was written for batches that were not decided: nobody else may be writing them.
    try writer.check()
    let decision = try RecoveryDecision(
      commits: found.commits, plans: found.plans, decided: decided, decider: name, directory: directory)
    for record in decision.missed { try noted(record) }
    if let known = decision.last, known.batch.number > last?.batch.number ?? 0 { try noted(known, mustStay: true) }
    last = decision.last
    found = ([], [])
    try cutLedger(behind: max(last?.batch.number ?? 0, decided?.batch ?? 0))
    return decision
  }

  private var ledgerPath: String { "\(directory)/skipped.journal" }

  /// Takes out of the ledger what was never decided: the process died between the two, or a power loss took the decision.
  /// The batch runs again, and may succeed.
  private func cutLedger(behind number: BatchNumber) throws(StreamingError) {
    do {
      var end: Int64?
      _ = try Journal.scan(ledgerPath, in: files) { entry, position throws(JournalError) in
        guard end == nil, let record = BatchRecord(text: String(entry.payload)), record.batch.number > number else {
          return
        }
        end = position
      }
      guard let end else { return }
      let file = try files.open(ledgerPath, .readWrite)
      try file.truncate(to: end)
      try file.sync()
    } catch {
      throw .checkpoint("the ledger of skipped batches cannot be mended: \(error)")
    }
  }

  /// Notes what the job looks like, for `sluice checkpoint show` and for the check of the next start.
  package func write(_ description: JobDescription) throws(StreamingError) {
    try writer.check()
    do {
      try files.replace("\(directory)/\(JobDescription.fileName)", with: Bytes(description.text))
    } catch {
      throw .checkpoint("the checkpoint folder \(directory) cannot be written: \(error)")
    }
  }

  /// Records a plan before its batch runs.
  package func planned(_ plan: BatchRecord) throws(StreamingError) {
    try writer.check()
    try plans.append(plan, sync: sync == .all)
  }

  /// Records, before a decider is asked, what it may be about to decide.
  /// - Parameters:
  ///   - isNeeded: whether a restart after a power loss could not do without it.
  ///   - others: files that must be durable by then too.
  package func prepared(
    _ record: BatchRecord, isNeeded: Bool, with others: [any File] = []
  ) throws(StreamingError) {
    try writer.check()
    var candidate = record
    candidate.outcome = .prepared
    let isSynced = sync == .all || (sync == .commits && isNeeded)
    try plans.append(candidate, sync: isSynced, with: others)
    if !isSynced { try sync(others) }
  }

  /// Carries files of participants past a power loss, at the same time.
  package func sync(_ others: [any File]) throws(StreamingError) {
    for case let error? in files.sync(others) {
      throw .checkpoint("\(directory) cannot be written, so no further batch can run: \(error)")
    }
  }

  /// Records a batch that its decider has decided: a cache, so it is not synced.
  /// - Parameter mustStay: as of `decided`.
  package func noted(_ record: BatchRecord, mustStay: Bool = false) throws(StreamingError) {
    try writer.check()
    // The first one stays: without a log a start would take the folder for a new one.
    try commits.append(record, sync: mustStay || last == nil)
    last = record
  }

  /// Decides a batch, by its record.
  /// - Parameter mustStay: whether something that is never taken back goes by it, a snapshot of the state: then it is
  ///   carried past a power loss whatever the setting.
  package func decided(_ record: BatchRecord, mustStay: Bool = false) throws(StreamingError) {
    try writer.check()
    // What moves nothing may be forgotten: it would be decided the same way again.
    let moves = record.sources.contains { !$0.plan.isEmpty } || record.notes != last?.notes
    // The first one stays whatever the setting: without a log a start would follow the consumer group, past what the state
    // has lost.
    try commits.append(record, sync: mustStay || last == nil || sync != .none && moves)
    last = record
  }

  /// Records a batch that is passed over for good, with the reason; kept as long as the folder is.
  package func passedOver(_ record: BatchRecord, reason: String) throws(StreamingError) {
    try writer.check()
    do {
      if skipped == nil {
        skipped = try Journal.open(ledgerPath, in: files) { _, _ in }.journal
      }
      var entry = record
      entry.notes = [BatchNote(key: "reason", text: reason)]
      try skipped?.append(JournalEntry(version: BatchJournal.version, payload: Bytes(entry.text)), sync: true)
    } catch {
      throw .checkpoint("the ledger of skipped batches cannot be written: \(error)")
    }
    try decided(record, mustStay: true)
  }

  /// Lets another process have the folder.
  package func close() { lock.unlock() }
}
