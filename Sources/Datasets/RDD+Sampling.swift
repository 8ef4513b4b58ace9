import Groundwork

// What is drawn follows from the seed, the partition and the place within it alone: every attempt, every action and every
// replay draws the same, as long as the dataset has the same elements in the same order.

extension RDD {
  /// A random part of the elements, in their order.
  /// - Parameters:
  ///   - withReplacement: whether an element may be drawn more than once.
  ///   - fraction: without replacement the probability of each element, 0 ... 1; with it how often each is drawn on
  ///     average, 0 or more.
  ///   - seed: another one draws another sample. The same in every batch unless the batch's number is made part of it.
  @inlinable public func sample(
    withReplacement: Bool = false, fraction: Double, seed: UInt64 = 0
  ) -> RDD<Element> {
    guard fraction >= 0, fraction <= (withReplacement ? 1e6 : 1) else {
      let wanted = withReplacement ? "0 ... 1000000" : "0 ... 1"
      return .failing(
        context, DatasetError(.badArgument("the fraction must lie in \(wanted), not \(fraction)"), operation: "sample"))
    }
    if withReplacement {
      let counts = PoissonCounts(mean: fraction)
      return drawing("sample", seed) { element, random, output in
        for _ in 0..<counts.draw(&random) { output.append(element) }
      }
    }
    return drawing("sample", seed) { element, random, output in
      if random.fraction() < fraction { output.append(element) }
    }
  }

  /// Calls `draw` with each element and the partition's random numbers.
  @inlinable func drawing(
    _ label: String, _ seed: UInt64,
    _ draw: @escaping @Sendable (Element, inout SeededRandom, inout Chunk<Element>) throws -> Void
  ) -> RDD<Element> {
    RDD(
      context, label: label, partitionCount: partitionCount, dependencies: [.narrow(self)], partitioning: partitioning
    ) { [self] partition, task, emit in
      var random = SeededRandom(seed: seed, stream: partition)
      var output = Chunk<Element>()
      try compute(partition, task) { view in
        for index in 0..<view.count { try draw(view[index], &random, &output) }
        guard output.count > 0 else { return }
        try emit(output.view)
        output.clear()
      }
    }
  }

  /// The elements in several datasets at random, each in one of them.
  /// - Parameters:
  ///   - weights: the share of each dataset, by proportion: 0 or more, at least one above 0.
  ///   - seed: another one divides differently.
  @inlinable public func randomSplit(_ weights: [Double], seed: UInt64 = 0) -> [RDD<Element>] {
    let whole = weights.reduce(0, +)
    guard weights.allSatisfy({ $0 >= 0 }), whole > 0, whole.isFinite else {
      let error = DatasetError(
        .badArgument("the weights must be 0 or more and together above 0, not \(weights)"), operation: "randomSplit")
      return weights.map { _ in .failing(context, error) }
    }
    var below = 0.0
    return weights.indices.map { index in
      let start = below / whole
      below += weights[index]
      // The last with a weight takes what rounding left.
      let isLast = weights[(index + 1)...].allSatisfy { $0 == 0 }
      let end = isLast ? Double.infinity : below / whole
      let range = weights[index] == 0 ? 2.0..<2.0 : start..<end
      return drawing("randomSplit", seed) { element, random, output in
        if range.contains(random.fraction()) { output.append(element) }
      }
    }
  }

  /// The pairs of each key sampled at a rate of its own, in their order; keys without a rate are left out.
  /// - Parameters:
  ///   - withReplacement: whether a pair may be drawn more than once.
  ///   - fractions: the rate of each key; see `sample`. Any below 0, and above 1 without replacement, counts as that.
  ///   - seed: another one draws another sample.
  @inlinable public func sampleByKey<Key: Hashable & Sendable, Value>(
    withReplacement: Bool = false, fractions: [Key: Double], seed: UInt64 = 0
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    if withReplacement {
      let counts = fractions.mapValues { PoissonCounts(mean: $0) }
      return drawing("sampleByKey", seed) { pair, random, output in
        guard let count = counts[pair.0]?.draw(&random), count > 0 else { return }
        for _ in 0..<count { output.append(pair) }
      }
    }
    return drawing("sampleByKey", seed) { pair, random, output in
      if random.fraction() < fractions[pair.0] ?? 0 { output.append(pair) }
    }
  }

  /// As `sampleByKey`, with exactly the asked number of pairs of each key: its rate times its number of pairs, rounded up.
  ///
  /// A shuffle of all pairs of the keys that have a rate; pairs of a key come in the order in which they stood.
  /// - Parameter partitions: partitions of the result; see `reduceByKey`.
  @inlinable public func sampleByKeyExact<Key: Hashable & Sendable, Value>(
    withReplacement: Bool = false, fractions: [Key: Double], seed: UInt64 = 0, partitions: Int? = nil
  ) -> RDD<(Key, Value)> where Element == (Key, Value) {
    let grouped = filter { fractions[$0.0] != nil }.groupByKey(partitioner(partitions) as Partitioner<Key>)
    return RDD<(Key, Value)>(
      context, label: "sampleByKeyExact", partitionCount: grouped.partitionCount, dependencies: [.narrow(grouped)],
      partitioning: grouped.partitioning
    ) { partition, task, emit in
      var random = SeededRandom(seed: seed, stream: partition)
      var output = Chunk<(Key, Value)>()
      try grouped.compute(partition, task) { view in
        for (key, values) in view {
          let wanted = (Swift.max(0, fractions[key] ?? 0) * Double(values.count)).rounded(.up)
          let count = Int(exactly: Swift.min(wanted, withReplacement ? 1e9 : Double(values.count))) ?? 0
          for index in random.indices(count, of: values.count, withReplacement: withReplacement) {
            output.append((key, values[index]))
          }
          guard output.count >= Chunk<(Key, Value)>.usualCapacity else { continue }
          try emit(output.view)
          output.clear()
        }
      }
      if output.count > 0 { try emit(output.view) }
    }
  }
}

extension RDD where Element: Sendable {
  /// Exactly `count` elements at random, in random order; all of them where there are fewer and none may come twice.
  /// - Parameters:
  ///   - withReplacement: whether an element may be drawn more than once; this takes two jobs instead of one.
  ///   - count: how many; none where it is below 1.
  ///   - seed: another one draws another sample.
  @inlinable public func takeSample(
    withReplacement: Bool = false, _ count: Int, seed: UInt64 = 0
  ) throws -> [Element] {
    guard count > 0 else { return [] }
    if withReplacement { return try drawn(count, seed) }
    // The elements with the smallest random numbers are a uniform sample, and by those numbers in random order.
    let parts = try context.runner.run(self, partitions: Array(0..<partitionCount), label: "takeSample") {
      dataset, partition, task in
      var random = SeededRandom(seed: seed, stream: partition)
      var smallest = SmallestElements<(UInt64, Element)>(count) { $0.0 < $1.0 }
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count { try smallest.insert((random.next(), detached(view[index]))) }
      }
      return try smallest.sorted()
    }
    var smallest = SmallestElements<(UInt64, Element)>(count) { $0.0 < $1.0 }
    for part in parts { for element in part { try smallest.insert(element) } }
    return try smallest.sorted().map { $0.1 }
  }

  @inlinable func drawn(_ count: Int, _ seed: UInt64) throws -> [Element] {
    let sizes = try context.runner.run(self, partitions: Array(0..<partitionCount), label: "takeSample") {
      dataset, partition, task in
      var size = 0
      try dataset.compute(partition, task) { size += $0.count }
      return size
    }
    let whole = sizes.reduce(0, +)
    guard whole > 0 else { return [] }
    var random = SeededRandom(seed: seed, stream: -1)
    let places = (0..<count).map { _ in random.below(whole) }
    var starts = [0]
    for size in sizes { starts.append(starts[starts.count - 1] + size) }
    let (firsts, wanted) = (starts, Set(places))
    let parts = try context.runner.run(self, partitions: Array(0..<partitionCount), label: "takeSample") {
      dataset, partition, task in
      var place = firsts[partition]
      var found: [(Int, Element)] = []
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count {
          if wanted.contains(place) { found.append((place, detached(view[index]))) }
          place += 1
        }
      }
      return found
    }
    let elements = Dictionary(parts.flatMap { $0 }, uniquingKeysWith: { $1 })
    return places.compactMap { elements[$0] }
  }
}

/// How often something comes that comes `mean` times on average (Knuth, "The Art of Computer Programming", volume 2,
/// 3.4.1, algorithm Q), a mean above 8 as the sum of smaller ones.
@usableFromInline struct PoissonCounts: Sendable {
  private let parts: Int
  /// e to the power of minus a part's mean.
  private let floor: Double

  @usableFromInline init(mean: Double) {
    let mean = mean > 0 ? Swift.min(mean, 1e6) : 0
    parts = Swift.max(1, Int((mean / 8).rounded(.up)))
    // (1 - x + x^2/2 - ...) for x below 1/32, squared 8 times: the C library's exp stays behind the seams.
    let x = mean / Double(parts) / 256
    var power = 1 - x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6)))))
    for _ in 0..<8 { power *= power }
    floor = power
  }

  @usableFromInline func draw(_ random: inout SeededRandom) -> Int {
    var count = 0
    for _ in 0..<parts {
      var product = random.fraction()
      while product > floor {
        count += 1
        product *= random.fraction()
      }
    }
    return count
  }
}

extension SeededRandom {
  /// The random numbers of one of many tasks that share a seed.
  @inlinable init(seed: UInt64, stream: Int) {
    var start = SeededRandom(seed: seed)
    self.init(seed: Hash64.fold(start.next(), UInt64(truncatingIfNeeded: stream) &* 2 &+ 0xD6E8_FEB8_6659_FD93))
  }

  /// At least 0 and below 1, in steps of 2^-53.
  @inlinable mutating func fraction() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// At least 0 and below `count`.
  @inlinable mutating func below(_ count: Int) -> Int {
    Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(truncatingIfNeeded: count)).high)
  }

  /// Positions drawn among `whole`, in ascending order (Fan, Muller and Rezucha 1962, where none comes twice).
  @usableFromInline mutating func indices(_ count: Int, of whole: Int, withReplacement: Bool) -> [Int] {
    guard whole > 0 else { return [] }
    if withReplacement { return (0..<count).map { _ in below(whole) }.sorted() }
    var chosen: [Int] = []
    for index in 0..<whole where below(whole - index) < count - chosen.count { chosen.append(index) }
    return chosen
  }
}
