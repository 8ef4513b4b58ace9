import LinuxSystem
import Sluice

/// A short run for the gate: everything once, sums compared; and the work that is most of all the engine's own, held
/// against the program in C in the same run.
enum Smoke {
  /// The least that a job may do of what the program in C does with the same processor time; the start of its process is
  /// in that, which a longer run does not notice. Usual here: see the table it prints.
  private static let floors: [(work: Work, part: Double)] = [(.count, 0.15), (.words, 0.3)]

  static func run(_ plan: Plan) throws {
    var plan = plan
    plan.runs = 1
    for codec in ["none", "gzip", "snappy", "zstd"] {
      let course = try Course(plan, codec: codec, records: 40_000)
      _ = try course.job(.count, .atLeastOnce)
      _ = try course.reference(.count)
      try course.end()
    }
    let course = try Course(plan, codec: "lz4", records: 2_000_000)
    var rows: [Row] = []
    for work in Work.allCases {
      if work.hasPeers { rows.append(try course.reference(work)) }
      for guarantee in work.guarantees { rows.append(try course.job(work, guarantee)) }
    }
    try course.end()
    TextOutput.standard.write(Results.table(rows))
    for (work, floor) in floors {
      guard let ours = rows.first(where: { $0.work == work && $0.who == "sluice" }),
        let reference = rows.first(where: { $0.work == work && $0.who == "C" })
      else { continue }
      let part = ours.ratePerProcessorSecond / reference.ratePerProcessorSecond
      guard part >= floor else { throw TooSlow(work: work, part: part, floor: floor) }
    }
  }
}

/// A job needs far more processor time than it did.
struct TooSlow: Error, CustomStringConvertible {
  var work: Work
  var part: Double
  var floor: Double
  var description: String {
    "\(work.title): \(HumanText.fixed(part * 100, 0)) % of what the program in C does with the same processor time, and "
      + "\(HumanText.fixed(floor * 100, 0)) % is the least: profile what has become slower"
  }
}
