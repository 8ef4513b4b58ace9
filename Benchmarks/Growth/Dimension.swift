import Sluice

/// Something that may grow, and what a batch costs at each of its sizes.
struct Dimension: Sendable {
  var name: String
  /// What happens in a batch.
  var work: String
  var sizes: [Int]
  /// For a run that only shows that it works.
  var smokeSizes: [Int]
  /// Seconds a batch at each of some sizes.
  var measure: @Sendable (_ sizes: [Int]) throws -> [Double]

  /// A dimension of which each size is a run of its own.
  init(
    _ name: String, _ work: String, sizes: [Int], smokeSizes: [Int],
    cost: @escaping @Sendable (_ size: Int) throws -> Double
  ) {
    self.init(name, work, sizes: sizes, smokeSizes: smokeSizes) { try $0.map(cost) }
  }

  init(
    _ name: String, _ work: String, sizes: [Int], smokeSizes: [Int],
    measure: @escaping @Sendable (_ sizes: [Int]) throws -> [Double]
  ) {
    self.name = name
    self.work = work
    self.sizes = sizes
    self.smokeSizes = smokeSizes
    self.measure = measure
  }
}

/// The cheapest cost that was seen at each size, over the runs.
struct Curve {
  var name: String
  var work: String
  var points: [(size: Int, seconds: Double)]

  init(_ dimension: Dimension, runs: Int, isSmoke: Bool) throws {
    name = dimension.name
    work = dimension.work
    points = (isSmoke ? dimension.smokeSizes : dimension.sizes).map { ($0, .infinity) }
    for _ in 0..<runs {
      for (index, seconds) in try dimension.measure(points.map(\.size)).enumerated() {
        points[index].seconds = min(points[index].seconds, seconds)
      }
    }
  }

  /// The slope of the line through the logarithms of size and cost (least squares): 1 where the cost is in proportion to
  /// the size, 0 where it does not depend on it.
  var exponent: Double { Curve.slope(points[...]) }

  /// The same for the largest sizes alone, a tenth of the largest and more: a term that grows faster than the others shows
  /// there first.
  var lastExponent: Double {
    let largest = points.last?.size ?? 0
    return Curve.slope(points.drop { $0.size * 10 < largest })
  }

  private static func slope(_ points: ArraySlice<(size: Int, seconds: Double)>) -> Double {
    let logarithms = points.map { (x: Logarithm.of(Double($0.size)), y: Logarithm.of($0.seconds)) }
    let count = Double(points.count)
    let (meanX, meanY) = logarithms.reduce((0, 0)) { ($0.0 + $1.x / count, $0.1 + $1.y / count) }
    let covariance = logarithms.reduce(0) { $0 + ($1.x - meanX) * ($1.y - meanY) }
    let variance = logarithms.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
    return variance > 0 ? covariance / variance : 0
  }
}
