import Groundwork
import Streaming

/// How much a batch may take of its topics. Pure.
struct PlanLimits: Sendable, Equatable {
  /// `maxRatePerPartition`: records a second and partition; nil for no limit.
  var ratePerPartitionMax: Int?
  /// `minRatePerPartition`: below this no rate controller goes; records a second and partition.
  var ratePerPartitionMin = 1
  /// `maxOffsetsPerTrigger`: records a batch, over all partitions, shared by what each has; nil for no limit.
  var recordsMax: Int?
  /// `minOffsetsPerTrigger`: a batch waits until so many records are there …
  var recordsMin: Int?
  /// `maxTriggerDelay`: … or the last one that took any is so long ago.
  var delayMax: Duration = .seconds(15 * 60)
  /// `minPartitions`: a batch's dataset gets about so many partitions at least; large ranges are cut for it.
  var partitionsMin: Int?
  /// `maxRecordsPerPartition`: records that a partition of the dataset has at most.
  var recordsPerPartitionMax: Int?

  /// What one topic partition may give.
  struct Share: Equatable {
    /// nil for no limit.
    var records: Int?
    /// What set the limit.
    var reason = ""
  }

  /// Whether to take nothing, because there is too little for a batch of its own.
  /// - Parameter sinceLast: how long ago the last batch was that took records, or the start.
  func waits(available: Int, sinceLast: Duration) -> Bool {
    guard let recordsMin else { return false }
    return available < recordsMin && sinceLast < delayMax
  }

  /// What each topic partition may give.
  /// - Parameters:
  ///   - available: records that are there, partition by partition.
  ///   - decided: what a rate controller allows each of them, records a batch; nil where it says nothing.
  func shares(available: [Int], interval: Duration, decided: [Int?] = []) -> [Share] {
    func perBatch(_ rate: Int) -> Int {
      let records = Double(rate) * interval.inSeconds
      return records >= Double(Int.max) ? Int.max : max(1, Int(records))
    }
    var shares = available.indices.map { index -> Share in
      var share = Share()
      if let rate = ratePerPartitionMax {
        share = Share(records: perBatch(rate), reason: "sluice.kafka.maxRatePerPartition=\(rate)")
      }
      if decided.indices.contains(index), let allowed = decided[index] {
        let floored = max(allowed, perBatch(ratePerPartitionMin))
        if share.records.map({ floored < $0 }) ?? true {
          share = Share(records: floored, reason: RateDecision.limitReason)
        }
      }
      return share
    }
    guard let recordsMax else { return shares }
    let wanted = available.indices.map { min(available[$0], shares[$0].records ?? Int.max) }
    let total = wanted.reduce(0) { $0.addingReportingOverflow($1).overflow ? Int.max : $0 + $1 }
    guard total > recordsMax else { return shares }
    // In proportion, rounded down; what is left goes to the largest remainders, the first of equal ones.
    var parts = wanted.map { Int(Double(recordsMax) * (Double($0) / Double(total))) }
    let remainders = wanted.indices.map {
      Double(recordsMax) * (Double(wanted[$0]) / Double(total)) - Double(parts[$0])
    }
    let order = wanted.indices.sorted { remainders[$0] != remainders[$1] ? remainders[$0] > remainders[$1] : $0 < $1 }
    var left = recordsMax - parts.reduce(0, +)
    for index in order where left > 0 && parts[index] < wanted[index] {
      parts[index] += 1
      left -= 1
    }
    for index in shares.indices where parts[index] < wanted[index] {
      shares[index] = Share(records: parts[index], reason: "sluice.kafka.maxOffsetsPerTrigger=\(recordsMax)")
    }
    return shares
  }

  /// How many records a partition of the dataset gets at most; nil: each topic partition is one.
  /// - Parameter taken: records that each topic partition gives to the batch.
  func pieceMax(_ taken: [Int]) -> Int? {
    var piece = recordsPerPartitionMax
    let total = taken.reduce(0, +)
    if let partitionsMin, taken.count(where: { $0 > 0 }) < partitionsMin, total > 0 {
      piece = min(piece ?? Int.max, max(1, (total + partitionsMin - 1) / partitionsMin))
    }
    return piece
  }
}
