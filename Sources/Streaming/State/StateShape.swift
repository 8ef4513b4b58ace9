import Groundwork

/// What, beside the types, decides what the entries of an operator's state mean; for panes, how they lie in time. It
/// stands in the catalog, and a start compares it with that of the job's code.
@usableFromInline package struct StateShape: Sendable {
  /// How entries are made from now on.
  let text: String
  /// What becomes of entries that were made under another shape.
  let fit: @Sendable (_ stored: String) -> StateFit

  /// - Parameters:
  ///   - text: how entries are made; without tabs and line breaks.
  ///   - fit: what becomes of entries of another shape.
  package init(_ text: String, fit: @escaping @Sendable (_ stored: String) -> StateFit) {
    self.text = text
    self.fit = fit
  }
}

/// What becomes of state that was stored under another shape.
package enum StateFit: Sendable, Equatable {
  /// It is taken over; the remark goes to the job's log.
  case taken(remark: String)
  /// It is made anew from other state.
  case remade
  /// It cannot be used; the reason says what does not fit.
  case refused(reason: String)
}

/// How the panes of a window lie in time, as the catalog keeps it: `window=10000ms slide=2000ms pane=2000ms`. Panes of one
/// batch each, which fit any window, have a pane of 0 ms.
struct PaneShape: Sendable, Equatable {
  var window: Int64
  var slide: Int64
  var pane: Int64

  var text: String { "window=\(window)ms slide=\(slide)ms pane=\(pane)ms" }

  init(window: Int64, slide: Int64, pane: Int64) {
    self.window = window
    self.slide = slide
    self.pane = pane
  }

  /// Reads `text`; nil where it is anything else.
  init?(text: String) {
    var fields: [Substring: Int64] = [:]
    for field in text.split(separator: " ") {
      let parts = field.split(separator: "=")
      guard parts.count == 2, parts[1].hasSuffix("ms"), let number = Int64(parts[1].dropLast(2)) else { return nil }
      fields[parts[0]] = number
    }
    guard let window = fields["window"], let slide = fields["slide"], let pane = fields["pane"] else { return nil }
    self.init(window: window, slide: slide, pane: pane)
  }

  /// What becomes of panes that were stored for windows of this shape. They can be used where every new window, and every
  /// step from one to the next, is a whole number of them.
  func fit(_ stored: String) -> StateFit {
    guard let old = PaneShape(text: stored) else { return .refused(reason: "it is stored for `\(stored)`") }
    let before = "windows of \(Self.time(old.window)) every \(Self.time(old.slide))"
    guard old.pane == 0 || (window % old.pane == 0 && slide % old.pane == 0) else {
      return .refused(
        reason:
          "it is stored for \(before) in panes of \(Self.time(old.pane)), and windows of \(Self.time(window)) every "
          + "\(Self.time(slide)) cannot be put together from those: choose multiples of \(Self.time(old.pane))")
    }
    var remark = "it was of \(before), and goes on with windows of \(Self.time(window)) every \(Self.time(slide))"
    if window > old.window {
      remark += ": until the first of them has filled, they miss what the shorter windows had let go already"
    }
    return .taken(remark: remark)
  }

  private static func time(_ milliseconds: Int64) -> String { Duration.milliseconds(milliseconds).text }
}

extension PaneTimes {
  /// The shape of panes of these times.
  /// - Parameter keepsBatches: whether each pane is one batch.
  @usableFromInline package func shape(keepsBatches: Bool = false) -> StateShape {
    let shape = PaneShape(window: length, slide: slide, pane: keepsBatches ? 0 : pane)
    return StateShape(shape.text) { shape.fit($0) }
  }

  /// The shape of windows that are made from the window before: another one is made anew from the panes.
  @usableFromInline package var runningShape: StateShape {
    StateShape(StateCatalog.runningPrefix + PaneShape(window: length, slide: slide, pane: pane).text) { _ in .remade }
  }
}

extension StateCatalog {
  /// What the shapes of state begin with that can be made anew from other state.
  static let runningPrefix = "running "
}
