/// Count, mean, variance and extremes of numbers, kept so that parts can be merged: Welford's method, merged as in Chan,
/// Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979). What Spark calls
/// StatCounter.
public struct Statistics: Sendable, Equatable, CustomStringConvertible {
  /// How many numbers there are.
  public private(set) var count = 0
  /// Their mean; 0 where there are none.
  public private(set) var mean = 0.0
  /// The least; infinity where there are none.
  public private(set) var min = Double.infinity
  /// The greatest; minus infinity where there are none.
  public private(set) var max = -Double.infinity
  /// The sum of the squared distances from the mean.
  private var squares = 0.0

  /// Of no numbers.
  public init() {}

  /// Of some numbers.
  public init(_ numbers: some Sequence<Double>) { for number in numbers { add(number) } }

  /// Adds a number.
  public mutating func add(_ number: Double) {
    count += 1
    let distance = number - mean
    mean += distance / Double(count)
    squares += distance * (number - mean)
    min = Swift.min(min, number)
    max = Swift.max(max, number)
  }

  /// Adds what another one has seen.
  public mutating func merge(_ other: Statistics) {
    guard other.count > 0 else { return }
    guard count > 0 else {
      self = other
      return
    }
    let (mine, theirs) = (Double(count), Double(other.count))
    let distance = other.mean - mean
    mean += distance * theirs / (mine + theirs)
    squares += other.squares + distance * distance * mine * theirs / (mine + theirs)
    count += other.count
    min = Swift.min(min, other.min)
    max = Swift.max(max, other.max)
  }

  /// The numbers added up.
  public var sum: Double { mean * Double(count) }
  /// The variance of the numbers as a whole population; NaN where there are none.
  public var variance: Double { count == 0 ? .nan : squares / Double(count) }
  /// The variance of the population that the numbers are a sample of; NaN of fewer than two.
  public var sampleVariance: Double { count < 2 ? .nan : squares / Double(count - 1) }
  /// The standard deviation of the numbers as a whole population; NaN where there are none.
  public var stdev: Double { variance.squareRoot() }
  /// The standard deviation of the population that the numbers are a sample of; NaN of fewer than two.
  public var sampleStdev: Double { sampleVariance.squareRoot() }

  /// In Spark's words.
  public var description: String {
    "(count: \(count), mean: \(mean), stdev: \(stdev), max: \(max), min: \(min))"
  }
}

/// A number that statistics are made of.
public protocol StatisticalNumber: Sendable {
  /// The number as a Double, rounded where it must be.
  var statisticalValue: Double { get }
}

extension StatisticalNumber where Self: BinaryInteger {
  /// The nearest Double.
  @inlinable public var statisticalValue: Double { Double(self) }
}

extension StatisticalNumber where Self: BinaryFloatingPoint {
  /// The nearest Double.
  @inlinable public var statisticalValue: Double { Double(self) }
}

extension Int: StatisticalNumber {}
extension Int8: StatisticalNumber {}
extension Int16: StatisticalNumber {}
extension Int32: StatisticalNumber {}
extension Int64: StatisticalNumber {}
extension UInt: StatisticalNumber {}
extension UInt8: StatisticalNumber {}
extension UInt16: StatisticalNumber {}
extension UInt32: StatisticalNumber {}
extension UInt64: StatisticalNumber {}
extension Float: StatisticalNumber {}
extension Double: StatisticalNumber {}
