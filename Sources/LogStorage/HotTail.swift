import Groundwork
import SystemInterfaces

/// The newest batches of all logs, still in memory: consumers that keep up are answered from here.
///
/// One bound for the whole broker. Batches leave in the order they came, so each log's part is always its newest run.
/// State confined to the broker's loop.
public final class HotTail {
  /// Bytes of batches that may be held.
  public let capacity: Int
  private(set) var byteCount = 0
  /// Whose batch is oldest, second oldest, and so on; the ring's front is at `head`.
  private var order: [LogTail] = []
  private var head = 0

  /// Empty.
  /// - Parameter capacity: bytes of batches that may be held; a batch larger than that is not held at all.
  public init(capacity: Int) { self.capacity = capacity }

  func add(_ batch: TailBatch, to tail: LogTail) {
    guard batch.byteCount <= capacity else {
      // Larger than all the room there is: the log's run would have a hole, so it begins anew after it.
      tail.removeAll(from: self)
      return
    }
    tail.batches.append(batch)
    order.append(tail)
    byteCount += batch.byteCount
    while byteCount > capacity {
      let oldest = order[head]
      head += 1
      byteCount -= oldest.removeFirst()
    }
    if head > 1024, head * 2 > order.count {
      order.removeFirst(head)
      head = 0
    }
  }

  fileprivate func release(_ tail: LogTail, _ count: Int) {
    byteCount -= count
    // The places of what is gone leave the order, so that it goes on naming one batch each.
    order = order[head...].filter { $0 !== tail }
    head = 0
  }
}

/// A batch in memory: the patched header and the rest as it came, or both in one where the batch is small.
struct TailBatch {
  var baseOffset: Int64
  var lastOffset: Int64
  var parts: [Bytes]
  var byteCount: Int
}

/// One log's part of the hot tail: a run of batches without a gap, up to the log's end.
final class LogTail {
  fileprivate(set) var batches: [TailBatch] = []
  private(set) var first = 0

  fileprivate func removeFirst() -> Int {
    guard first < batches.count else { return 0 }
    let count = batches[first].byteCount
    batches[first].parts = []
    first += 1
    if first > 64, first * 2 > batches.count {
      batches.removeFirst(first)
      first = 0
    }
    return count
  }

  /// Lets go of everything, when the log is deleted or its end is unknown.
  func removeAll(from hot: HotTail) {
    let count = batches[first...].reduce(0) { $0 + $1.byteCount }
    let isEmpty = first == batches.count
    batches.removeAll()
    first = 0
    if !isEmpty { hot.release(self, count) }
  }

  /// The index of the batch that holds `offset`, or follows it; nil where that is older than the run.
  func index(of offset: Int64) -> Int? {
    guard first < batches.count, offset >= batches[first].baseOffset else { return nil }
    var low = first
    var high = batches.count
    while low < high {
      let middle = (low + high) / 2
      if batches[middle].lastOffset < offset { low = middle + 1 } else { high = middle }
    }
    return low < batches.count ? low : nil
  }
}
