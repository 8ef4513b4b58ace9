import Datasets
import Groundwork
import KafkaProtocol
import Synchronization

/// The raw record batches that tasks read from: what the driver put aside for its batches, and what was fetched again.
///
/// Bounded: when it holds more than its limit the oldest ranges are evicted, and a task that needs one reports it missing,
/// which is how datasets are recomputed from their lineage.
///
/// Sendable: guarded by a mutex; what is handed out is immutable.
final class FetchedBatches: Sendable {
  struct Block: Sendable {
    var range: OffsetRange
    var batches: [Bytes]
    var bytes: Int
    /// The batch it was fetched for.
    var number: BatchNumber
  }

  private struct State {
    var blocks: [OffsetRange: Block] = [:]
    /// In the order they came, with the batch each belongs to.
    var order: [(range: OffsetRange, number: BatchNumber)] = []
    var bytes = 0
    /// Whether `order` may hold a batch behind a later one, because a range was fetched again.
    var isMixed = false
  }
  private let state = Mutex(State())
  private let bytesMax: Int

  init(bytesMax: Int) { self.bytesMax = bytesMax }

  func insert(_ block: Block) {
    state.withLock { state in
      if state.blocks[block.range] == nil {
        if let newest = state.order.last, newest.number > block.number { state.isMixed = true }
        state.order.append((block.range, block.number))
      }
      state.bytes += block.bytes - (state.blocks.updateValue(block, forKey: block.range)?.bytes ?? 0)
      // What was put in last stays, whatever its size: the next task wants it.
      var evicted = 0
      while state.bytes > bytesMax, evicted < state.order.count, state.order[evicted].range != block.range {
        state.bytes -= state.blocks.removeValue(forKey: state.order[evicted].range)?.bytes ?? 0
        evicted += 1
      }
      state.order.removeFirst(evicted)
    }
  }

  /// The raw batches that hold a range, nil where they are gone.
  func batches(_ range: OffsetRange) -> [Bytes]? { state.withLock { $0.blocks[range]?.batches } }

  /// Drops what belongs to this batch and those before it.
  /// - Returns: the ranges that were dropped.
  /// - Complexity: O(ranges dropped), and a move of those that stay.
  @discardableResult func forget(through number: BatchNumber) -> [OffsetRange] {
    state.withLock { state in
      var dropped: [OffsetRange] = []
      func drop(_ range: OffsetRange) {
        dropped.append(range)
        state.bytes -= state.blocks.removeValue(forKey: range)?.bytes ?? 0
      }
      if state.isMixed {
        for entry in state.order where entry.number <= number { drop(entry.range) }
        state.order.removeAll { $0.number <= number }
        state.isMixed = zip(state.order, state.order.dropFirst()).contains { $0.number > $1.number }
      } else {
        let kept = state.order.firstIndex { $0.number > number } ?? state.order.count
        for entry in state.order[..<kept] { drop(entry.range) }
        state.order.removeFirst(kept)
      }
      return dropped
    }
  }

  /// Drops everything, as memory pressure would.
  func evictAll() {
    state.withLock { state in state = State() }
  }

  var bytes: Int { state.withLock { $0.bytes } }
}
