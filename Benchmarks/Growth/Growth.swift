import LinuxSystem
import Sluice
import SystemInterfaces

/// Measures what a batch costs as one thing about a job grows and everything else stays.
@main struct Growth {
  static let spec = CommandSpec(
    name: "Growth", summary: "Measures what a batch costs as partitions, keys, operators and batches grow.",
    discussion: """
      Batches of numbers follow each other without a pause, in one process, on two executors; nothing is written but the \
      logs and states of the case that says so, in $TMPDIR, unsynced. The exponent is the slope of cost over size, both as \
      logarithms: 1 is in proportion, 0 not at all. What grows faster than something else shows last, so the exponent of \
      the largest sizes (a tenth of the largest, and more) stands beside that of all.
      """,
    options: [
      .value("runs", "N", "runs; the fastest of each size counts", default: "3", format: .integer(1...100)),
      .repeated("case", "NAME", "only these dimensions"),
      .value("json", "PATH", "also write the figures as JSON"),
      .flag("smoke", "a short run that fails where a cost grows much faster than its size"),
    ])

  static func main() throws {
    let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
    if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
    let isSmoke = try options.flag("smoke")
    let runs = try options.int("runs")!
    let named = try options.all("case")
    var curves: [Curve] = []
    for dimension in Dimensions.all where named.isEmpty || named.contains(dimension.name) {
      let curve = try Curve(dimension, runs: runs, isSmoke: isSmoke)
      TextOutput.standard.write(text(curve))
      TextOutput.standard.flush()
      curves.append(curve)
    }
    if let path = try options.string("json") { try LinuxFileStore().replace(path, with: Bytes(json(curves))) }
    let steep = curves.filter { isSmoke && $0.lastExponent > 1.5 }
    guard steep.isEmpty else { throw TooSteep(curves: steep) }
  }

  private static func text(_ curve: Curve) -> String {
    var table = TextTable([(curve.name, .right), ("µs a batch", .right), ("µs a piece", .right)])
    for point in curve.points {
      table.add([
        "\(point.size)", decimal(point.seconds * 1e6, 1), decimal(point.seconds * 1e6 / Double(point.size), 3),
      ])
    }
    return "\(curve.work)\n\(table.text)exponent \(decimal(curve.exponent, 2)), at the largest sizes "
      + "\(decimal(curve.lastExponent, 2))\n\n"
  }

  /// With so many digits behind the point.
  static func decimal(_ value: Double, _ digits: Int) -> String {
    let scale = (0..<digits).reduce(1) { scale, _ in scale * 10 }
    let scaled = Int((value.magnitude * Double(scale)).rounded())
    let fraction = String(scaled % scale)
    let zeros = String(repeating: "0", count: digits - fraction.count)
    return "\(value < 0 && scaled > 0 ? "-" : "")\(scaled / scale).\(zeros)\(fraction)"
  }

  private static func json(_ curves: [Curve]) -> String {
    let dimensions = curves.map { curve in
      let points = curve.points.map { "{\"size\":\($0.size),\"seconds\":\($0.seconds)}" }
      return """
          {"dimension":"\(curve.name)","work":"\(curve.work)","exponent":\(curve.exponent),\
        "last_exponent":\(curve.lastExponent),"points":[\(points.joined(separator: ","))]}
        """
    }
    return "[\n\(dimensions.joined(separator: ",\n"))\n]\n"
  }
}

/// A cost that grows much faster than its size.
struct TooSteep: Error, CustomStringConvertible {
  var curves: [Curve]
  var description: String {
    curves.map {
      "the cost of a batch grows with the \(Growth.decimal($0.lastExponent, 2))th power of: \($0.name)"
    }.joined(separator: "; ")
  }
}
