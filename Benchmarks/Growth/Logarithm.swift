/// The logarithm to base 2, which the standard library does not have.
enum Logarithm {
  /// Of a positive number: its exponent, and for the rest 2 artanh((m - 1) / (m + 1)), whose series ends soon for m from
  /// 1 to 2.
  static func of(_ number: Double) -> Double {
    let ratio = (number.significand - 1) / (number.significand + 1)
    var (power, sum) = (ratio, 0.0)
    for odd in stride(from: 1.0, to: 40, by: 2) {
      sum += power / odd
      power *= ratio * ratio
    }
    let naturalOf2 = 0.693147180559945309
    return Double(number.exponent) + 2 * sum / naturalOf2
  }
}
