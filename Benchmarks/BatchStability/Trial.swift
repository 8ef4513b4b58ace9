import BenchmarkProcesses
import Sluice

/// What is done with the records.
enum Work: String, CaseIterable {
  case words, filter, window, files

  /// As the table calls it.
  var title: String {
    switch self {
    case .words: "word count"
    case .filter: "filter + count"
    case .window: "windowed reduce"
    case .files: "ETL to text files"
    }
  }
  var hasState: Bool { self == .window }
  var writesFiles: Bool { self == .files }
}

/// What is measured: which job, under which guarantee.
struct Subject: Hashable {
  var work: Work
  var guarantee: Guarantee
  var title: String { "\(work.title), \(guarantee.rawValue)" }
}

/// A job that ran at an interval beside a steady load.
struct Trial {
  var subject: Subject
  /// Records a second.
  var rate: Int
  /// In milliseconds.
  var interval: Int
  /// What the job's batches were like, as it says.
  var fields: Fields
  var generator: Fields
  /// Seconds for which the generator was to send.
  var load: Int
  /// Processor time, in seconds.
  var jobSeconds: Double
  var brokerSeconds: Double
  var peakMemory: Int

  /// Of all ticks, the part that may fall together with the one before: batches beyond the 99th percentile may take longer
  /// than the interval, and then they do.
  static let skippedMax = 0.01

  /// Why the job does not keep up; empty where it does.
  var complaints: [String] {
    var found: [String] = []
    let slowest = fields.double("processing_ms_p99")
    if slowest > Double(interval) { found.append("p99 of processing is \(HumanText.fixed(slowest, 1)) ms") }
    let batches = fields.double("measured")
    let skipped = fields.double("skipped")
    if batches == 0 { found.append("no batch") }
    if skipped > (batches + skipped) * Trial.skippedMax { found.append("\(Int(skipped)) ticks skipped") }
    // Growth, beyond what one late wake-up makes.
    let (delayFirst, delayLast) = (fields.double("scheduling_ms_first"), fields.double("scheduling_ms_last"))
    if delayLast > delayFirst + max(Double(interval), 5) {
      found.append("scheduling delay grows to \(HumanText.fixed(delayLast, 1)) ms")
    }
    let (lagFirst, lagLast) = (fields.double("lag_first"), fields.double("lag_last"))
    if lagLast > lagFirst + Double(rate) * max(Double(interval) / 1e3, 0.02) {
      found.append("lag grows to \(Int(lagLast)) records")
    }
    if generator.double("seconds") > Double(load) * 1.05 + 0.5 { found.append("the generator did not keep up") }
    return found
  }
  var isStable: Bool { complaints.isEmpty }

  /// One line for who waits.
  var line: String {
    let times = ["p50", "p99", "p999", "max"].map { HumanText.fixed(fields.double("processing_ms_\($0)"), 2) }
    return "\(subject.title): \(rate)/s every \(interval) ms: processing \(times.joined(separator: " / ")) ms, "
      + "\(fields.int("measured") ?? 0) batches, \(fields.int("skipped") ?? 0) ticks skipped, CPU job "
      + "\(cores(jobSeconds)) broker \(cores(brokerSeconds)) generator \(generator["cores"] ?? "0"): "
      + (isStable ? "stable" : "not stable (\(complaints.joined(separator: ", ")))")
  }

  private func cores(_ seconds: Double) -> String { HumanText.fixed(seconds / Double(load), 2) }

  var json: JSON {
    var members: [(String, JSON)] = [
      ("work", .text(subject.work.rawValue)), ("guarantee", .text(subject.guarantee.rawValue)),
      ("plan_sync", .text(subject.guarantee.planSync(hasState: subject.work.hasState))),
      (
        "file_sync",
        .text(
          subject.guarantee.fileSync(writesFiles: subject.work.writesFiles, hasState: subject.work.hasState))
      ),
      ("records_per_second", .integer(rate)), ("interval_ms", .integer(interval)), ("stable", .bool(isStable)),
      ("complaints", .list(complaints.map { .text($0) })), ("seconds", .integer(load)),
      ("job_cpu_seconds", .number(jobSeconds)), ("broker_cpu_seconds", .number(brokerSeconds)),
      ("generator_cpu_seconds", .number(generator.double("cpu_seconds"))),
      ("generator_late_ms_p99", .number(generator.double("late_ms_p99"))),
      ("peak_memory_bytes", .integer(peakMemory)),
    ]
    for name in ["batches", "measured", "skipped"] { members.append((name, .integer(fields.int(name) ?? 0))) }
    for name in ["processing_ms", "total_ms"] {
      for part in ["p50", "p99", "p999", "max"] {
        members.append(("\(name)_\(part)", .number(fields.double("\(name)_\(part)"))))
      }
    }
    for name in ["scheduling_ms_first", "scheduling_ms_last", "lag_first", "lag_last"] {
      members.append((name, .number(fields.double(name))))
    }
    return .object(members)
  }
}
