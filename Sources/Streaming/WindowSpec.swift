import Groundwork

/// Where windows lie in time. Windows end at whole multiples of the slide since 1970, and panes at multiples of their
/// length, so that a restart finds the same ones.
///
/// A pane is the longest stretch of which every window, and every step from one to the next, is a whole number: the
/// greatest common divisor of length and slide.
@usableFromInline package struct WindowSpec: Sendable {
  /// How far a window reaches back from its end.
  @usableFromInline package let length: Duration
  /// How far apart the ends of windows are.
  @usableFromInline package let slide: Duration
  /// How long a pane is.
  package let pane: Duration
  /// The operator's, for people.
  @usableFromInline package let label: String

  /// Checks both against the batch interval, or the slide of the stream where that is one of windows already; what is
  /// wrong is noted in the context, whose start then fails with it.
  @usableFromInline package init(_ stream: AnyDStream, operator label: String, length: Duration, slide: Duration?) {
    let unit = stream.slideDuration
    let context = stream.context
    self.length = length
    self.label = label
    self.slide = slide ?? unit
    let what = unit == context.batchInterval ? "batch interval" : "slide of the windows it is made of,"
    for (name, duration) in [("window", length), ("slide", self.slide)]
    where duration < unit || !duration.isMultiple(of: unit) {
      context.note(
        .invalidDefinition(
          "\(label): the \(name) of \(duration.text) is not a multiple of the \(what)\(what.hasSuffix(",") ? "" : " of") "
            + "\(unit.text); choose \(name)s of \(unit.text), \((unit * 2).text), \((unit * 3).text) …"))
    }
    var (larger, smaller) = (max(1, length.inMilliseconds), max(1, self.slide.inMilliseconds))
    while smaller > 0 { (larger, smaller) = (smaller, larger % smaller) }
    pane = .milliseconds(larger)
  }

  /// The end of the window that is due with this batch: the last multiple of the slide since the batch before; nil where
  /// there is none.
  @usableFromInline package func end(_ frame: BatchFrame) -> Timestamp? {
    let end = frame.time.floor(to: slide)
    guard let previous = frame.previousTime else { return end == frame.time ? frame.time : nil }
    return end > previous ? end : nil
  }

  /// The point that a window with this end begins behind.
  @usableFromInline package func start(_ end: Timestamp) -> Timestamp { end - length }

  /// The ends of the panes in `(after, through]`, oldest first. O(panes).
  package func paneEnds(after: Timestamp, through: Timestamp) -> [Timestamp] {
    let first = after.floor(to: pane) + pane
    return first.until(through + .milliseconds(1), every: pane)
  }

  /// Whether windows share batches.
  package var overlaps: Bool { slide < length }
}
