import Sluice

/// The highest stable rate over the interval, as a picture: both axes logarithmic, a line for each job.
struct Curve {
  struct Series {
    var title: String
    /// Interval in milliseconds, and records a second.
    var points: [(interval: Int, rate: Int)]
  }
  var series: [Series]

  private static let colours = [
    "#1b6ca8", "#d1495b", "#2a9d8f", "#e9a03b", "#6d597a", "#7f8c8d", "#264653", "#b56576",
  ]
  private var left: Double { 80 }
  private var top: Double { 30 }
  private var width: Double { 560 }
  private var height: Double { 340 }

  var svg: String {
    let points = series.flatMap(\.points)
    let intervals = Curve.decades(points.map(\.interval))
    let rates = Curve.decades(points.map(\.rate))
    func x(_ interval: Int) -> Double {
      left + width * (Curve.log10(interval) - Double(intervals.lowerBound)) / Double(max(1, intervals.count - 1))
    }
    func y(_ rate: Int) -> Double {
      top + height - height * (Curve.log10(rate) - Double(rates.lowerBound)) / Double(max(1, rates.count - 1))
    }
    func place(_ value: Double) -> String { HumanText.fixed(value, 1) }
    let total = Int(top + height) + 36 + 20 * ((series.count + 1) / 2)
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 \(total)" font-family="sans-serif" font-size="13">
      <rect width="680" height="\(total)" fill="#ffffff"/>
      <text x="\(place(left))" y="18">highest stable rate, records/s, over the batch interval</text>

      """
    for decade in intervals {
      let at = place(x(Curve.power(decade)))
      text +=
        "<line x1=\"\(at)\" y1=\"\(place(top))\" x2=\"\(at)\" y2=\"\(place(top + height))\" stroke=\"#dddddd\"/>\n"
      text +=
        "<text x=\"\(at)\" y=\"\(place(top + height + 18))\" text-anchor=\"middle\">\(Curve.power(decade)) ms</text>\n"
    }
    for decade in rates {
      let at = place(y(Curve.power(decade)))
      text +=
        "<line x1=\"\(place(left))\" y1=\"\(at)\" x2=\"\(place(left + width))\" y2=\"\(at)\" stroke=\"#dddddd\"/>\n"
      text +=
        "<text x=\"\(place(left - 8))\" y=\"\(place(y(Curve.power(decade)) + 4))\" text-anchor=\"end\">"
        + "\(Curve.label(decade))</text>\n"
    }
    for (index, series) in series.enumerated() {
      let colour = Curve.colours[index % Curve.colours.count]
      let sorted = series.points.sorted { $0.interval < $1.interval }
      let path = sorted.map { "\(place(x($0.interval))),\(place(y($0.rate)))" }.joined(separator: " ")
      text += "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"/>\n"
      for point in sorted {
        text +=
          "<circle cx=\"\(place(x(point.interval)))\" cy=\"\(place(y(point.rate)))\" r=\"3.5\" fill=\"\(colour)\"/>\n"
      }
      let row = top + height + 44 + Double(index / 2) * 20
      let column = left + Double(index % 2) * 280
      text += "<rect x=\"\(place(column))\" y=\"\(place(row - 10))\" width=\"14\" height=\"10\" fill=\"\(colour)\"/>\n"
      text += "<text x=\"\(place(column + 20))\" y=\"\(place(row))\">\(series.title)</text>\n"
    }
    return text + "</svg>\n"
  }

  /// The powers of ten around some values.
  private static func decades(_ values: [Int]) -> ClosedRange<Int> {
    let low = values.min() ?? 1
    let high = values.max() ?? 10
    let first = (0...18).last { power($0) <= max(1, low) } ?? 0
    let last = (0...18).first { power($0) >= high } ?? 18
    return first...max(first + 1, last)
  }

  /// A power of ten in few letters.
  private static func label(_ exponent: Int) -> String {
    "\(power(exponent % 3))\(["", " k", " M", " G"][min(3, exponent / 3)])"
  }

  private static func power(_ exponent: Int) -> Int { (0..<exponent).reduce(1) { value, _ in value * 10 } }

  /// By bisection of the interval between two powers: a picture needs no more than four digits, and the mathematics library
  /// is not linked for them.
  private static func log10(_ value: Int) -> Double {
    var rest = Double(max(1, value))
    var result = 0.0
    while rest >= 10 {
      rest /= 10
      result += 1
    }
    var step = 0.5
    for _ in 0..<16 {
      // 10^(2 * step) halves its exponent with each round: square the rest instead.
      rest *= rest
      if rest >= 10 {
        rest /= 10
        result += step
      }
      step /= 2
    }
    return result
  }
}
