import BenchmarkProcesses
import LinuxSystem
import Sluice

/// The searches, and what they find.
final class Measuring {
  /// What a search came to: the trial of full length that held; nil where none did.
  private struct Finding {
    var subject: Subject
    var looksForInterval: Bool
    /// Records a second, or milliseconds: what was given.
    var given: Int
    var trial: Trial?
  }

  private let stand: Stand
  private let rate: Int
  /// In milliseconds.
  private let intervals: [Int]
  private let full: Int
  private let short: Int
  private let jsonPath: String?
  private let svgPath: String?
  private var trials: [Trial] = []
  private var findings: [Finding] = []

  init(_ stand: Stand, _ options: Options) throws {
    self.stand = stand
    rate = try options.int("rate")!
    let given = try options.all("interval").compactMap { Duration(text: $0) }.map { Int($0.inMilliseconds) }
    intervals = given.isEmpty ? [20, 200, 1_000] : given
    full = max(1, Int(try options.duration("for")!.inSeconds))
    short = max(1, Int(try options.duration("search")!.inSeconds))
    jsonPath = try options.string("json")
    svgPath = try options.string("svg")
  }

  func run(_ subjects: [Subject]) throws {
    for subject in subjects {
      try findInterval(subject)
      for interval in intervals { try findRate(subject, interval) }
    }
    TextOutput.standard.write(table)
    if let jsonPath { try LinuxFileStore().replace(jsonPath, with: Bytes(json)) }
    if let svgPath { try LinuxFileStore().replace(svgPath, with: Bytes(curve.svg)) }
  }

  private func isStable(_ subject: Subject, rate: Int, interval: Int, _ seconds: Int) throws -> Trial {
    let trial = try stand.run(subject, rate: rate, interval: interval, seconds: seconds)
    trials.append(trial)
    TextOutput.standard.write("\(trial.line)\n")
    TextOutput.standard.flush()
    return trial
  }

  private func findInterval(_ subject: Subject) throws {
    var interval = try Search.smallest(from: 1, through: 4_096) {
      try isStable(subject, rate: rate, interval: $0, short).isStable
    }
    var found: Trial?
    for _ in 0..<4 {
      guard let tried = interval, found == nil else { break }
      let trial = try isStable(subject, rate: rate, interval: tried, full)
      if trial.isStable { found = trial } else { interval = max(tried + 1, tried * 5 / 4) }
    }
    findings.append(Finding(subject: subject, looksForInterval: true, given: rate, trial: found))
  }

  private func findRate(_ subject: Subject, _ interval: Int) throws {
    var rate = try Search.highest(from: 200_000, through: 12_800_000) {
      try isStable(subject, rate: $0, interval: interval, short).isStable
    }
    var found: Trial?
    for _ in 0..<4 {
      guard let tried = rate, found == nil else { break }
      let trial = try isStable(subject, rate: tried, interval: interval, full)
      if trial.isStable { found = trial } else { rate = max(1, tried * 3 / 4) }
    }
    findings.append(Finding(subject: subject, looksForInterval: false, given: interval, trial: found))
  }

  // MARK: The results

  private var table: String {
    var table = TextTable([
      ("job", .left), ("guarantee", .left), ("given", .right), ("found", .right), ("processing ms p50", .right),
      ("p99", .right), ("p99.9", .right), ("max", .right), ("ticks skipped", .right), ("CPU job", .right),
      ("broker", .right), ("generator", .right), ("MB", .right),
    ])
    for finding in findings {
      let given = finding.looksForInterval ? "\(finding.given)/s" : "\(finding.given) ms"
      var cells = [finding.subject.work.title, finding.subject.guarantee.rawValue, given]
      if let trial = finding.trial {
        cells.append(finding.looksForInterval ? "\(trial.interval) ms" : "\(trial.rate)/s")
        cells += ["p50", "p99", "p999", "max"].map { HumanText.fixed(trial.fields.double("processing_ms_\($0)"), 2) }
        cells.append("\(trial.fields.int("skipped") ?? 0) of \(trial.fields.int("measured") ?? 0)")
        cells += [trial.jobSeconds, trial.brokerSeconds, trial.generator.double("cpu_seconds")].map {
          HumanText.fixed($0 / Double(trial.load), 2)
        }
        cells.append("\(trial.peakMemory >> 20)")
      } else {
        cells.append("none")
      }
      table.add(cells)
    }
    return table.text
  }

  /// The highest rates, and the interval found for the given rate as one point more.
  private var curve: Curve {
    var series: [Curve.Series] = []
    for finding in findings {
      guard let trial = finding.trial else { continue }
      let title = finding.subject.title
      if series.last?.title != title { series.append(Curve.Series(title: title, points: [])) }
      series[series.count - 1].points.append((trial.interval, trial.rate))
    }
    return Curve(series: series)
  }

  private var json: String {
    let results = findings.map { finding -> JSON in
      var members: [(String, JSON)] = [
        ("work", .text(finding.subject.work.rawValue)), ("guarantee", .text(finding.subject.guarantee.rawValue)),
        (finding.looksForInterval ? "records_per_second" : "interval_ms", .integer(finding.given)),
      ]
      if let trial = finding.trial {
        members.append(
          finding.looksForInterval
            ? ("smallest_stable_interval_ms", .integer(trial.interval))
            : ("highest_stable_records_per_second", .integer(trial.rate)))
        members += ["p50", "p99", "p999", "max"].map {
          ("processing_ms_\($0)", .number(trial.fields.double("processing_ms_\($0)")))
        }
      }
      return .object(members)
    }
    return JSON.object(
      Machine.facts("BatchStability") + [
        ("broker_flush", .text("os")), ("seconds", .integer(full)), ("codec", .text("lz4")),
        ("results", .list(results)), ("trials", .list(trials.map(\.json))),
      ]
    ).rendered() + "\n"
  }
}
