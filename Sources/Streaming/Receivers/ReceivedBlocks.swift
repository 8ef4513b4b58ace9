import Groundwork
import Synchronization

/// Elements that arrived together and are computed by one task. A stream's elements are counted from 0 on, so a block is
/// a range of offsets.
struct ReceivedBlock<Element: Sendable>: Sendable {
  var first: Int64
  var elements: [Element]
  /// The offset after the last element.
  var end: Int64 { first + Int64(elements.count) }
}

/// The blocks between receiver and batches: filled on the receivers' loop, planned and forgotten on the driver's.
final class ReceivedBlocks<Element: Sendable>: Sendable {
  private struct State {
    /// Neighbours, in order.
    var blocks: [ReceivedBlock<Element>] = []
    /// What comes next.
    var end: Int64 = 0
    /// Up to where batches have been planned.
    var planned: Int64 = 0
    /// Up to where batches may be planned.
    var limit: Int64?
  }
  private let state = Mutex(State())

  /// Goes on behind what earlier runs have had.
  func begin(at offset: Int64) {
    state.withLock {
      $0.end = offset
      $0.planned = offset
    }
  }

  func append(_ blocks: [ReceivedBlock<Element>]) {
    state.withLock { state in
      for block in blocks where !block.elements.isEmpty && block.first == state.end {
        state.end = block.end
        state.blocks.append(block)
      }
    }
  }

  /// The offset of what comes next.
  var end: Int64 { state.withLock { $0.end } }

  /// Takes all that may be planned, but no more than `elementsMax` elements where the first block has no more.
  func plan(elementsMax: Int? = nil) -> Range<Int64> {
    state.withLock { state in
      var until = max(state.planned, state.limit ?? state.end)
      let from = state.planned
      if let elementsMax, until - from > Int64(clamping: elementsMax) {
        let next = state.blocks.drop { $0.end <= from }
        let fitting = next.last { $0.end - from <= Int64(clamping: elementsMax) } ?? next.first
        until = min(until, fitting?.end ?? until)
      }
      state.planned = until
      return from..<until
    }
  }

  /// Plans a range that was planned before the restart.
  /// - Returns: false where its blocks are not here.
  func replay(_ range: Range<Int64>) -> Bool {
    state.withLock { state in
      guard range.isEmpty || (range.lowerBound >= state.planned && range.upperBound <= state.end) else { return false }
      guard range.isEmpty || state.blocks.first.map({ $0.first <= range.lowerBound }) == true else { return false }
      state.planned = max(state.planned, range.upperBound)
      return true
    }
  }

  /// The blocks of a planned range.
  func blocks(in range: Range<Int64>) -> [ReceivedBlock<Element>] {
    state.withLock { $0.blocks.filter { $0.first >= range.lowerBound && $0.end <= range.upperBound } }
  }

  /// Drops blocks before the offset.
  func forget(before offset: Int64) {
    state.withLock { state in
      state.blocks.removeFirst(state.blocks.firstIndex { $0.end > offset } ?? state.blocks.count)
    }
  }

  /// From now on, plan no further than what is here.
  func limitToPresent() { state.withLock { $0.limit = $0.end } }

  /// Elements that no batch has been given.
  var waiting: Int64 { state.withLock { max($0.planned, $0.limit ?? $0.end) - $0.planned } }
  var isLimited: Bool { state.withLock { $0.limit != nil } }
}
