import Datasets
import Groundwork

/// The reduced panes of one windowed operator: what a window keeps of its batches.
///
/// A pane is made when the first window that needs it is due, from the batches of its time, and held from then on; once it
/// was computed as a whole its lineage is cut, so that its batches, their shuffles and their input can go.
///
/// Sendable: only the driver's loop touches it.
@usableFromInline package final class PaneStore<Element>: @unchecked Sendable {
  /// The elements of one stretch of time, reduced.
  package struct Pane {
    /// Its end, which belongs to it.
    package let end: Timestamp
    /// The batch in which it was made.
    package let batch: BatchNumber
    /// nil where there was no batch in its time.
    package var dataset: RDD<Element>?
    /// Where the dataset's partitions are held; nil once the dataset depends on nothing else.
    var pending: HeldPartitions?
  }
  /// The panes, oldest first.
  package private(set) var panes: [Pane] = []
  private let spec: WindowSpec

  /// - Parameter stream: the stream that is reduced: where it gives up a batch, the panes made in that batch go.
  @usableFromInline package init(_ spec: WindowSpec, of stream: AnyDStream) {
    self.spec = spec
    stream.onDiscard { [self] batch in panes.removeAll { $0.batch == batch } }
  }

  /// Drops the panes that end at or before `limit`, and makes those that are missing up to `end`.
  /// - Parameters:
  ///   - frame: the batch that asks.
  ///   - make: gives the reduced dataset of the batches in `(after, through]`, nil where there are none.
  @usableFromInline package func update(
    _ frame: BatchFrame, dropping limit: Timestamp, through end: Timestamp,
    hold: (RDD<Element>, HeldPartitions) -> RDD<Element>,
    make: (_ after: Timestamp, _ through: Timestamp) -> RDD<Element>?
  ) {
    panes.removeFirst(panes.firstIndex { $0.end > limit } ?? panes.count)
    for index in panes.indices {
      guard let held = panes[index].pending, held.isComplete, let dataset = panes[index].dataset else { continue }
      panes[index].dataset = .holding(held, like: dataset)
      panes[index].pending = nil
    }
    for paneEnd in spec.paneEnds(after: max(panes.last?.end ?? limit, limit), through: end) {
      var pane = Pane(end: paneEnd, batch: frame.number, dataset: make(paneEnd - spec.pane, paneEnd), pending: nil)
      if let dataset = pane.dataset {
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

  /// Panes that are not fully computed, and so keep their lineage.
  package var pendingCount: Int { panes.count { $0.pending != nil } }
}
