import Groundwork

/// How far event time has come in one stream, input partition by input partition: a value without a clock.
///
/// The stream's watermark is the least of its partitions': no record older than it is expected. A partition that has
/// nothing to read drops out after a while, lest it hold the others up; one that lags never does. It never goes back.
struct WatermarkTracker: Sendable, Equatable {
  /// An input partition: a topic partition, or the whole input where those cannot be told apart.
  struct Partition: Sendable, Equatable {
    var name: String
    /// The latest event time seen; nil where none was.
    var latest: Int64?
    /// The batch time since when there was nothing to read; nil where there was.
    var idleSince: Int64?
  }
  /// What a batch took of a partition.
  struct Input: Sendable, Equatable {
    var name: String
    /// Whether there was nothing in the batch and nothing is left to read.
    var isCaughtUp: Bool
  }

  /// How far records may be out of order.
  let delay: Int64
  /// After how long without data a partition drops out; nil never.
  let idleTimeout: Int64?
  /// By name, sorted.
  private(set) var partitions: [Partition] = []
  /// In milliseconds; nil before the first record.
  private(set) var watermark: Int64?

  init(delay: Int64, idleTimeout: Int64?) {
    self.delay = delay
    self.idleTimeout = idleTimeout
  }

  /// A batch has run.
  /// - Parameters:
  ///   - time: its time.
  ///   - inputs: the partitions that it had, also those that gave nothing.
  ///   - latest: the latest event time seen in each that gave records.
  mutating func batchRan(at time: Int64, _ inputs: [Input], latest: [String: Int64]) {
    for input in inputs {
      let index = place(of: input.name)
      if let seen = latest[input.name] {
        partitions[index].latest = max(partitions[index].latest ?? seen, seen)
      }
      if latest[input.name] != nil || !input.isCaughtUp {
        partitions[index].idleSince = nil
      } else if partitions[index].idleSince == nil {
        partitions[index].idleSince = time
      }
    }
    let counted = partitions.filter { partition in
      guard let idleTimeout, let since = partition.idleSince else { return true }
      return time - since < idleTimeout
    }
    // A partition that nothing came from yet holds the watermark where it is.
    guard !counted.isEmpty, counted.allSatisfy({ $0.latest != nil }) else { return }
    let least = counted.compactMap(\.latest).min().map { $0 &- delay }
    if let least { watermark = max(watermark ?? least, least) }
  }

  private mutating func place(of name: String) -> Int {
    let index = partitions.firstIndex { $0.name >= name } ?? partitions.count
    if index == partitions.count || partitions[index].name != name {
      partitions.insert(Partition(name: name, latest: nil, idleSince: nil), at: index)
    }
    return index
  }

  // MARK: Text

  /// `watermark=1357002000000`, then a line for each partition: `latest idle-since name`, with `-` for none.
  var text: String {
    let lines = partitions.map { partition in
      "\(partition.latest.map(String.init) ?? "-") \(partition.idleSince.map(String.init) ?? "-") \(partition.name)"
    }
    return (["watermark=\(watermark.map(String.init) ?? "-")"] + lines).joined(separator: "\n")
  }

  /// Takes over what `text` says; false where it is anything else.
  mutating func take(_ text: String) -> Bool {
    let lines = text.split(separator: "\n")
    guard let first = lines.first, first.hasPrefix("watermark=") else { return false }
    var found: [Partition] = []
    for line in lines.dropFirst() {
      let words = line.split(separator: " ", maxSplits: 2)
      guard words.count == 3 else { return false }
      found.append(Partition(name: String(words[2]), latest: Int64(words[0]), idleSince: Int64(words[1])))
    }
    watermark = Int64(first.dropFirst("watermark=".count))
    partitions = found.sorted { $0.name < $1.name }
    return true
  }
}
