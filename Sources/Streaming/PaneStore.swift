import Datasets
import Groundwork
import JobScheduling

/// What one windowed operator keeps of its batches: the reduced batches of the pane that is not full yet, and panes.
///
/// A reduced batch is held from the moment it was computed, which is in its own batch, also where no window is due. So
/// neither a window nor a step of it, however long, needs the input of past batches. A pane is made when the first window
/// that needs it is due, and held as well; what it was made of goes once it was computed as a whole.
///
/// Sendable: only the driver's loop touches it.
@usableFromInline package final class PaneStore<Element>: @unchecked Sendable {
  /// The elements of one stretch of time, reduced.
  package struct Part {
    /// Its end, which belongs to it: what a batch stands for, or the end of a pane.
    package let end: Timestamp
    /// The batch in which it was made.
    package let batch: BatchNumber
    /// nil where there is nothing in its time.
    package var dataset: RDD<Element>?
    /// Where the dataset's partitions are held; nil once the dataset depends on nothing else.
    var pending: HeldPartitions?

    /// Cuts the lineage of what was computed as a whole.
    mutating func settle() {
      guard let held = pending, held.isComplete, let original = dataset else { return }
      dataset = .holding(held, like: original)
      pending = nil
    }
  }
  /// The batches that no settled pane holds, oldest first.
  package private(set) var batches: [Part] = []
  /// The panes, oldest first.
  package private(set) var panes: [Part] = []
  private let spec: WindowSpec
  private let reduction: BatchReduction

  /// - Parameter stream: the stream that is reduced: where it gives up a batch, what was made in that batch goes.
  @usableFromInline package init(_ spec: WindowSpec, of stream: AnyDStream) {
    self.spec = spec
    reduction = stream.context.attachment(BatchReduction.self) {
      let reduction = BatchReduction()
      stream.context.add(participant: reduction)
      return reduction
    }
    stream.onDiscard { [self] batch in
      batches.removeAll { $0.batch == batch }
      panes.removeAll { $0.batch == batch }
    }
  }

  /// Takes in a reduced batch.
  /// - Parameters:
  ///   - time: what it stands for: where the stream is one of windows, the end of one, which may lie before the batch.
  ///   - dataset: the batch's, nil where it has none.
  ///   - hold: gives the dataset held in some partitions, and a function that computes one of them.
  @usableFromInline package func add(
    _ frame: BatchFrame, _ time: Timestamp, _ dataset: RDD<Element>?,
    hold: (RDD<Element>, HeldPartitions) -> (
      dataset: RDD<Element>, compute: @Sendable (_ partition: Int, _ task: TaskContext) throws -> Void
    )
  ) {
    // Each was computed in its own batch, so only the last ones can be pending.
    for index in batches.indices.reversed() {
      guard batches[index].pending != nil else { break }
      batches[index].settle()
    }
    guard let dataset else { return }
    let held = HeldPartitions(dataset.partitionCount)
    let (holding, compute) = hold(dataset, held)
    batches.append(Part(end: time, batch: frame.number, dataset: holding, pending: held))
    let job = CompletionJob(label: "reduce a batch for its windows", dataset: holding, work: compute)
    reduction.add(job, held, frame.number)
  }

  /// Drops the panes that end at or before `limit`, and makes those that are missing up to `end`.
  /// - Parameters:
  ///   - frame: the batch that asks.
  ///   - merge: gives the reduced dataset of several, oldest first; of one that one itself, of none nil.
  ///   - hold: gives a dataset held in some partitions.
  @usableFromInline package func update(
    _ frame: BatchFrame, dropping limit: Timestamp, through end: Timestamp,
    merge: ([RDD<Element>]) -> RDD<Element>?, hold: (RDD<Element>, HeldPartitions) -> RDD<Element>
  ) {
    for index in panes.indices { panes[index].settle() }
    let settled = panes.prefix { $0.pending == nil }.last?.end ?? limit
    panes.removeFirst(panes.firstIndex { $0.end > limit } ?? panes.count)
    batches.removeFirst(batches.firstIndex { $0.end > max(settled, limit) } ?? batches.count)
    for paneEnd in spec.paneEnds(after: max(panes.last?.end ?? limit, limit), through: end) {
      let parts = batches.filter { $0.end > paneEnd - spec.pane && $0.end <= paneEnd }
      var pane = Part(end: paneEnd, batch: frame.number, dataset: nil, pending: nil)
      if parts.count == 1 {
        pane.dataset = parts[0].dataset
        pane.pending = parts[0].pending
      } else if let dataset = merge(parts.compactMap(\.dataset)) {
        let held = HeldPartitions(dataset.partitionCount)
        pane.dataset = hold(dataset, held)
        pane.pending = held
      }
      panes.append(pane)
    }
  }

  /// The datasets of the panes in `(after, through]`, oldest first.
  @usableFromInline package func datasets(after: Timestamp, through: Timestamp) -> [RDD<Element>] {
    panes.compactMap { $0.end > after && $0.end <= through ? $0.dataset : nil }
  }

  /// Batches and panes kept.
  package var count: Int { batches.count + panes.count }
}

/// Has every batch reduced for its windows in that batch: a window that is due later finds it held.
///
/// Sendable: confined to the driver's loop.
final class BatchReduction: BatchParticipant, @unchecked Sendable {
  private var jobs: [(job: CompletionJob, held: HeldPartitions)] = []
  private var batch: BatchNumber = 0

  var key: String { "windows" }

  func add(_ job: CompletionJob, _ held: HeldPartitions, _ batch: BatchNumber) {
    if batch != self.batch { jobs = [] }
    self.batch = batch
    jobs.append((job, held))
  }

  /// Only what no output has computed: where each batch has a window, nothing.
  func completions(_ frame: BatchFrame) -> [CompletionJob] {
    defer { jobs = [] }
    return frame.number == batch ? jobs.compactMap { $0.held.isComplete ? nil : $0.job } : []
  }

  func aborted(_ batch: BatchIdentity) { if batch.number == self.batch { jobs = [] } }
}
