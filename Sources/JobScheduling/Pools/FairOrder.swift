import Groundwork

/// What one of several that compete for executors has and has had: a pool among pools, or a job among its pool's.
///
/// `service` is executor time divided by weight, each start counting 1 µs at least, so that shares are right both for
/// tasks that take their time and, task by task, for those that take none. What runs counts from its start to now.
struct Share {
  var weight = 1
  /// Tasks at a time that come before weights.
  var minShare = 0
  /// Tasks that run, or wait in the runner.
  private(set) var running = 0
  private var service = 0.0
  /// Launch times of what runs, added up.
  private var launchesSum: Int64 = 0

  /// Nanoseconds that a start costs at least.
  private static let leastCharge = 1000.0

  init(weight: Int = 1, minShare: Int = 0) {
    self.weight = weight
    self.minShare = minShare
  }

  /// Executor nanoseconds so far by weight.
  func service(at now: Instant) -> Double {
    service + Double(Int64(running) &* now.nanoseconds &- launchesSum) / Double(weight)
  }

  mutating func launched(at now: Instant) {
    running += 1
    launchesSum &+= now.nanoseconds
    service += Share.leastCharge / Double(weight)
  }

  mutating func ended(launched: Instant, at now: Instant) {
    running -= 1
    launchesSum &-= launched.nanoseconds
    service += Double(now.nanoseconds - launched.nanoseconds) / Double(weight)
  }

  /// Who comes late, or comes back, has no claim to what others had while it wanted nothing.
  mutating func join(_ others: some Sequence<Share>, at now: Instant) {
    let least = others.lazy.map { $0.service(at: now) }.min()
    if let least { service = max(service, least) }
  }
}

/// The order of FAIR scheduling, a pure function.
///
/// As in Spark, whoever runs fewer tasks than its minShare comes first, the one that has the smallest part of it leading.
/// Then weights count, in two steps. Whoever runs fewer tasks than its part of the slots by weight comes before those that
/// run more: so a pool of short tasks is not kept waiting by one of long tasks that has had as much executor time. Among
/// equals the one with the least service by weight goes: with few slots, where parts of them cannot be given out exactly,
/// this is what makes weight 2 get twice the tasks. Spark stops at running tasks by weight, which gives 1 : 1 to weights
/// 2 and 1 on two slots. Ties go to the first.
enum FairOrder {
  /// - Parameters:
  ///   - shares: of everyone who competes; who neither runs nor can start anything has no part.
  ///   - canStart: whether each has a task to start; only those are chosen.
  ///   - slots: tasks that run at a time, all together.
  /// - Returns: the index of who starts a task next; nil where nobody can.
  static func next(_ shares: [Share], canStart: [Bool], slots: Int, at now: Instant) -> Int? {
    let weights = shares.indices.reduce(0) { sum, index in
      canStart[index] || shares[index].running > 0 ? sum + shares[index].weight : sum
    }
    var best: (index: Int, rank: Rank)?
    for index in shares.indices where canStart[index] {
      let rank = Rank(shares[index], slots: slots, weights: weights, at: now)
      if let current = best, !(rank < current.rank) { continue }
      best = (index, rank)
    }
    return best?.index
  }

  private struct Rank: Comparable {
    /// 0: below minShare. 1: below its part of the slots. 2: above.
    var level: Int
    /// Within the level.
    var amount: Double

    init(_ share: Share, slots: Int, weights: Int, at now: Instant) {
      if share.running < share.minShare {
        level = 0
        amount = Double(share.running) / Double(share.minShare)
      } else {
        level = share.running * weights < slots * share.weight ? 1 : 2
        amount = share.service(at: now)
      }
    }

    static func < (a: Rank, b: Rank) -> Bool { a.level != b.level ? a.level < b.level : a.amount < b.amount }
  }
}
