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
    /// Oldest first.
    var order: [OffsetRange] = []
    var bytes = 0
  }
  private let state = Mutex(State())
  private let bytesMax: Int

  init(bytesMax: Int) { self.bytesMax = bytesMax }

  func insert(_ block: Block) {
    state.withLock { state in
      if state.blocks[block.range] == nil { state.order.append(block.range) }
      state.bytes += block.bytes - (state.blocks.updateValue(block, forKey: block.range)?.bytes ?? 0)
      // What was put in last stays, whatever its size: the next task wants it.
      while state.bytes > bytesMax, let oldest = state.order.first, oldest != block.range {
        state.order.removeFirst()
        state.bytes -= state.blocks.removeValue(forKey: oldest)!.bytes
      }
    }
  }

  /// The raw batches that hold a range, nil where they are gone.
  func batches(_ range: OffsetRange) -> [Bytes]? { state.withLock { $0.blocks[range]?.batches } }

  /// Drops what belongs to this batch and those before it.
  func forget(through number: BatchNumber) {
    state.withLock { state in
      state.order.removeAll { range in
        guard let block = state.blocks[range], block.number <= number else { return false }
        state.bytes -= block.bytes
        state.blocks[range] = nil
        return true
      }
    }
  }

  /// Drops everything, as memory pressure would.
  func evictAll() {
    state.withLock { state in state = State() }
  }

  var bytes: Int { state.withLock { $0.bytes } }
}
