import LinuxSystem
import Sluice

/// A short run for the gate: everything once, sums compared; and the work that is most of all the engine's own, held
/// against the program in C in the same run.
enum Smoke {
  /// The least that a job may do of what the program in C does with the same processor time: some 30 % less than what is
  /// usual here, the start of its process included, which a longer run does not notice.
  private static let floors: [(work: Work, part: Double)] = [(.count, 0.2), (.words, 0.28)]

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
    TextOutput.standard.write(Results.table(rows))
    for (work, floor) in floors {
      var best = part(work, rows)
      // What else runs on the machine disturbs one run or the other, but not all of them.
      for _ in 0..<2 where best < floor {
        best = max(best, part(work, [try course.reference(work), try course.job(work, .atLeastOnce)]))
      }
      guard best >= floor else { throw TooSlow(work: work, part: best, floor: floor) }
    }
    try course.end()
  }

  /// What the job does of what the program in C does with the same processor time.
  private static func part(_ work: Work, _ rows: [Row]) -> Double {
    guard let ours = rows.first(where: { $0.work == work && $0.who == "sluice" }),
      let reference = rows.first(where: { $0.work == work && $0.who == "C" })
    else { return 0 }
    return ours.ratePerProcessorSecond / reference.ratePerProcessorSecond
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
