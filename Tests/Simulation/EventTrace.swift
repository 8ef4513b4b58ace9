import Groundwork

/// What happened last in a world: a ring of events and notes, and a digest of all there ever were.
///
/// Two runs of one seed have equal digests; two that differ have parted somewhere in between.
struct EventTrace {
  private struct Entry {
    var time: Int64
    var text: String
    var number: Int
  }
  private var ring: [Entry] = []
  private var next = 0
  private let capacity: Int
  private(set) var digest: UInt64 = 0

  init(capacity: Int) { self.capacity = max(capacity, 1) }

  mutating func add(_ time: Int64, _ text: String, _ number: Int) {
    digest = Hash64.short(
      digest ^ UInt64(bitPattern: time), Bytes(text).fastHash(seed: UInt64(bitPattern: Int64(number))), seed: 1)
    let entry = Entry(time: time, text: text, number: number)
    if ring.count < capacity {
      ring.append(entry)
    } else {
      ring[next] = entry
      next = (next + 1) % capacity
    }
  }

  /// The last `count` entries, oldest first.
  func lines(last count: Int) -> [String] {
    (0..<ring.count).suffix(count).map { index in
      let entry = ring[(next + index) % ring.count]
      return "\(secondsText(entry.time)) \(entry.text)" + (entry.number >= 0 ? " \(entry.number)" : "")
    }
  }
}
