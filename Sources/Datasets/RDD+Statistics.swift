// What Spark offers on RDD[Double], for every number type.

extension RDD where Element: StatisticalNumber {
  /// Count, mean, variance and extremes, by one job; merged in the order of the partitions.
  @inlinable public func stats() throws -> Statistics {
    try context.runner.run(self, partitions: Array(0..<partitionCount), label: "stats") { dataset, partition, task in
      var statistics = Statistics()
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count { statistics.add(view[index].statisticalValue) }
      }
      return statistics
    }.reduce(into: Statistics()) { $0.merge($1) }
  }

  /// The mean; 0 where there are no elements.
  @inlinable public func mean() throws -> Double { try stats().mean }
  /// The variance of the elements as a whole population; NaN where there are none.
  @inlinable public func variance() throws -> Double { try stats().variance }
  /// The variance of the population that the elements are a sample of; NaN of fewer than two.
  @inlinable public func sampleVariance() throws -> Double { try stats().sampleVariance }
  /// The standard deviation of the elements as a whole population; NaN where there are none.
  @inlinable public func stdev() throws -> Double { try stats().stdev }
  /// The standard deviation of the population that the elements are a sample of; NaN of fewer than two.
  @inlinable public func sampleStdev() throws -> Double { try stats().sampleStdev }

  /// How many elements lie in each of `bucketCount` parts of equal width between the least and the greatest element.
  /// - Returns: the parts' bounds, one more than there are parts, and each one's number of elements. A bound belongs to
  ///   the part above it, the last one to the last part. Where all elements are equal there is one part, which has them.
  /// - Throws: `DatasetError` where there are no elements, or some that are infinite or not a number.
  @inlinable public func histogram(_ bucketCount: Int) throws -> (bounds: [Double], counts: [Int]) {
    let statistics = try stats()
    guard bucketCount >= 1 else {
      throw DatasetError(.badArgument("there must be at least one bucket, not \(bucketCount)"), operation: "histogram")
    }
    guard statistics.count > 0, statistics.min.isFinite, statistics.max.isFinite, statistics.mean.isFinite else {
      throw DatasetError(
        .badArgument("a histogram needs elements, all of them finite; filter the others out, or give the bounds"),
        operation: "histogram")
    }
    let (least, greatest) = (statistics.min, statistics.max)
    if least == greatest { return ([least, greatest], [statistics.count]) }
    var bounds = (0..<bucketCount).map { least + (greatest - least) * Double($0) / Double(bucketCount) }
    bounds.append(greatest)
    return (bounds, try counts(bounds))
  }

  /// How many elements lie in each of the parts between the bounds. A bound belongs to the part above it, the last one to
  /// the last part; elements outside of the bounds are not counted.
  /// - Parameter bounds: at least two, ascending, none twice.
  /// - Throws: `DatasetError` where the bounds are not.
  @inlinable public func histogram(_ bounds: [Double]) throws -> [Int] {
    guard bounds.count >= 2, Swift.zip(bounds, bounds.dropFirst()).allSatisfy({ $0 < $1 }) else {
      throw DatasetError(
        .badArgument("the bounds must be at least two and ascend, not \(bounds)"), operation: "histogram")
    }
    return try counts(bounds)
  }

  @inlinable func counts(_ bounds: [Double]) throws -> [Int] {
    try context.runner.run(self, partitions: Array(0..<partitionCount), label: "histogram") {
      dataset, partition, task in
      var counts = [Int](repeating: 0, count: bounds.count - 1)
      try dataset.compute(partition, task) { view in
        for index in 0..<view.count {
          let value = view[index].statisticalValue
          guard value >= bounds[0], value <= bounds[bounds.count - 1] else { continue }
          // The last bound that is not above the value; the last part takes its upper end as well.
          var low = 0
          var high = counts.count - 1
          while low < high {
            let middle = (low &+ high &+ 1) &>> 1
            if bounds[middle] <= value { low = middle } else { high = middle &- 1 }
          }
          counts[low] += 1
        }
      }
      return counts
    }.reduce(into: [Int](repeating: 0, count: bounds.count - 1)) { sum, part in
      for index in sum.indices { sum[index] += part[index] }
    }
  }
}
