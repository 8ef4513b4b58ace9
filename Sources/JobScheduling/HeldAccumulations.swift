import Datasets

/// What tasks added to accumulators for a batch that may still be given up and computed again: it counts when that is over.
///
/// Sendable: touched on the scheduler's loop only.
package final class HeldAccumulations: @unchecked Sendable {
  /// nil once everything counts at once.
  private var held: [PendingAccumulation]? = []

  package init() {}

  func take(_ more: [PendingAccumulation]) {
    if held == nil { for pending in more { pending.merge() } } else { held? += more }
  }

  /// What was held counts, and what comes from now on counts at once.
  package func count() {
    for pending in held ?? [] { pending.merge() }
    held = nil
  }
}
