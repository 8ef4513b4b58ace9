// Spark's approximate actions answer with what is known after a time. Ours wait for the whole answer, which is then exact:
// a confidence of 1 and bounds that meet.

/// A result with the bounds between which it lies.
public struct BoundedDouble: Sendable, Equatable {
  /// The most likely value.
  public var mean: Double
  /// How likely the value lies between `low` and `high`, 0 ... 1.
  public var confidence: Double
  /// The lower bound.
  public var low: Double
  /// The upper bound.
  public var high: Double

  /// A value that is known exactly.
  @inlinable public init(exactly value: Double) {
    mean = value
    confidence = 1
    low = value
    high = value
  }
}

extension RDD {
  /// The number of elements; exact, whatever time is given.
  @inlinable public func countApprox(timeout: Duration = .zero, confidence: Double = 0.95) throws -> BoundedDouble {
    BoundedDouble(exactly: Double(try count()))
  }

  /// How many pairs each key has; exact, whatever time is given.
  @inlinable public func countByKeyApprox<Key: Hashable & Sendable, Value>(
    timeout: Duration = .zero, confidence: Double = 0.95
  ) throws -> [Key: BoundedDouble] where Element == (Key, Value) {
    try countByKey().mapValues { BoundedDouble(exactly: Double($0)) }
  }

  /// How often each element occurs; exact, whatever time is given.
  @inlinable public func countByValueApprox(
    timeout: Duration = .zero, confidence: Double = 0.95
  ) throws -> [Element: BoundedDouble] where Element: Hashable & Sendable {
    try countByValue().mapValues { BoundedDouble(exactly: Double($0)) }
  }

  /// About how many different elements there are, by HyperLogLog: each task keeps a few kilobytes, whatever their number.
  /// - Parameter relativeSD: the relative standard deviation of the estimate, 0.002 ... 0.26: of 100 estimates about 68
  ///   are off by no more than it.
  @inlinable public func countApproxDistinct(relativeSD: Double = 0.05) throws -> Int
  where Element: Hashable & Sendable {
    try context.runner.run(self, partitions: Array(0..<partitionCount), label: "countApproxDistinct") {
      dataset, partition, task in
      var sketch = HyperLogLog(relativeSD: relativeSD)
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count { sketch.insert(view[index]) }
      }
      return sketch
    }.reduce(into: HyperLogLog(relativeSD: relativeSD)) { $0.merge($1) }.estimate
  }
}

extension RDD where Element: StatisticalNumber {
  /// The mean; exact, whatever time is given.
  @inlinable public func meanApprox(timeout: Duration = .zero, confidence: Double = 0.95) throws -> BoundedDouble {
    BoundedDouble(exactly: try mean())
  }

  /// The elements added up; exact, whatever time is given.
  @inlinable public func sumApprox(timeout: Duration = .zero, confidence: Double = 0.95) throws -> BoundedDouble {
    BoundedDouble(exactly: try stats().sum)
  }
}
