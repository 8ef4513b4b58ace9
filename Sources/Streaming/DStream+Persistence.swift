import Datasets
import Groundwork

extension DStream where Element: Sendable {
  /// Keeps each batch's dataset in memory once it was computed, until no window needs it: for a stream that several
  /// outputs use, which would otherwise each compute it, and count what it counts, anew. Returns the same stream.
  @discardableResult public func cache() -> DStream<Element> { persist() }

  /// As `cache()`, at a level of one's own choice.
  ///
  /// What is kept of a dataset is freed when the stream forgets it, unless `sluice.streaming.unpersist` is false.
  /// - Throws: `StorageError` where the level needs a disk that the context does not have, or elements that can be encoded
  ///   (see `ElementCodec`) and these cannot.
  @discardableResult public func persist(_ level: StorageLevel) throws(StorageError) -> DStream<Element> {
    try context.sluice.check(level, keeps: Element.self)
    // What was checked just now cannot fail later: neither the type nor the context changes.
    keepDatasets { _ = try? $0.persist(level) }
    return self
  }

  /// As `cache()`.
  @discardableResult public func persist() -> DStream<Element> {
    keepDatasets { $0.persist() }
    return self
  }

  /// Keeps the stream's datasets because an operator will read them several times; not where the author of the job has
  /// said how, nor those of an input, which its source keeps as they arrived.
  @usableFromInline package func keepForReuse() {
    if !parents.isEmpty { keepDatasets(isImplicit: true) { $0.persist() } }
  }

  /// To be called by each operator that makes windows of the stream: from the second on, the stream is kept, so that a
  /// batch is computed once for all of them.
  @usableFromInline package func shareAmongWindows() {
    if noteWindow() { keepForReuse() }
  }
}

extension DStream where Element: Sendable {
  /// Cuts the stream's lineage: what a batch at a multiple of `interval` gave becomes a local checkpoint (see
  /// `RDD.localCheckpoint`), in memory, or on disk where memory is full, as long as the stream remembers it; once it was
  /// computed it depends on nothing before. Returns the same stream.
  ///
  /// For a stream whose datasets are remembered long and are costly, or impossible, to compute again. A restart does not
  /// read it: it goes by the logs in the checkpoint folder and by state, and windows and state cut their own lineage.
  /// - Parameter interval: a multiple of the batch interval, and of the slide where the stream is one of windows.
  @discardableResult public func checkpoint(_ interval: Duration) -> DStream<Element> {
    if interval < slideDuration || !interval.isMultiple(of: slideDuration) {
      context.note(
        .invalidDefinition(
          "checkpoint: the interval of \(interval.text) is not a multiple of the \(slideDuration.text) between the "
            + "stream's datasets; choose \(slideDuration.text), \((slideDuration * 2).text), "
            + "\((slideDuration * 3).text) …"))
    }
    cutDatasets(every: interval) { $0.localCheckpoint() }
    return self
  }
}

extension DStream {
  /// Keeps the datasets of the stream's last batches for at least so long, so that `slice` finds them.
  /// - Parameter duration: counts back from the time of the newest batch.
  @discardableResult public func remember(for duration: Duration) -> DStream<Element> {
    rememberLineage(duration)
    return self
  }

  /// The datasets of batches whose times lie in `[from, to]`, oldest first, as far as the stream still keeps them: see
  /// `StreamingContext.remember`. A batch has one only where some output uses the stream. On the driver: in `foreachRDD`
  /// or `transform`. O(batches kept).
  public func slice(from: Timestamp, to: Timestamp) -> [RDD<Element>] {
    datasets(after: Timestamp(milliseconds: from.milliseconds - 1), through: to)
  }
}
