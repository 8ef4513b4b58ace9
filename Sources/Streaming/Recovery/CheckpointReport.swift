import Datasets
import Groundwork
import Journals
import SystemInterfaces

/// What a checkpoint folder holds, read without changing it or taking its lock: for `sluice checkpoint`.
package struct CheckpointReport: Sendable {
  /// One thing that a checkpoint says, by which two of them are compared.
  package struct Fact: Sendable, Equatable {
    /// What kind: `source`, `operator`, `state`.
    package var section: String
    /// What it is about: `topics flights flights-0`.
    package var name: String
    /// What is so.
    package var value: String
  }

  /// The folder.
  package let directory: String
  /// In the order they are shown.
  package private(set) var facts: [Fact] = []
  /// Decided batches that the log still holds, oldest first.
  package let decided: [BatchRecord]
  /// Planned and not decided: a start runs them again.
  package let undecided: [BatchRecord]
  /// Passed over by the failure policy, with the reason among the notes.
  package let skipped: [BatchRecord]

  /// Reads a checkpoint.
  /// - Throws: `StreamingError.checkpoint` where the folder is none or cannot be read.
  package init(directory: String, files: any FileStore) throws(StreamingError) {
    self.directory = directory
    guard let description = try JobDescription.read(in: directory, files) else {
      throw .checkpoint(
        "\(directory) is not a checkpoint: it holds no \(JobDescription.fileName); give the folder that the job got with "
          + "--checkpoint")
    }
    decided = try BatchJournal.records(in: "\(directory)/commits", files)
    let plans = try BatchJournal.records(in: "\(directory)/plans", files)
    undecided = try RecoveryDecision(commits: decided, plans: plans).replay
    skipped = try CheckpointReport.ledger("\(directory)/skipped.journal", files)
    facts = CheckpointReport.facts(description, decided.last)
  }

  private static func ledger(_ path: String, _ files: any FileStore) throws(StreamingError) -> [BatchRecord] {
    var records: [BatchRecord] = []
    do throws(JournalError) {
      _ = try Journal.scan(path, in: files) { entry, _ throws(JournalError) in
        if let record = BatchRecord(text: String(entry.payload)) { records.append(record) }
      }
    } catch {
      throw .checkpoint("\(path) cannot be read: \(error)")
    }
    return records
  }

  private static func facts(_ description: JobDescription, _ last: BatchRecord?) -> [Fact] {
    var facts = [
      Fact(section: "job", name: "name", value: description.job),
      Fact(section: "job", name: "batch interval", value: description.interval.text),
    ]
    if let last {
      facts.append(Fact(section: "job", name: "last batch", value: "\(last.batch.number)"))
      facts.append(Fact(section: "job", name: "last batch time", value: "\(last.batch.time)"))
    }
    for source in last?.sources ?? [] {
      for range in source.plan.ranges {
        facts.append(
          Fact(section: "source", name: "\(source.name), next of \(range.topicPartition)", value: "\(range.until)"))
      }
      for (index, detail) in source.plan.details.enumerated() {
        facts.append(Fact(section: "source", name: "\(source.name), detail \(index + 1)", value: detail))
      }
    }
    for operation in description.operators {
      facts.append(
        Fact(
          section: "operator", name: operation.name,
          value: operation.label + (operation.isDerived ? "" : ", named by the job")))
    }
    for output in description.outputs { facts.append(Fact(section: "output", name: output, value: "defined")) }
    for note in last?.notes ?? [] {
      let lines = note.text.split(separator: "\n")
      for (index, line) in lines.enumerated() {
        facts.append(
          Fact(section: "kept", name: lines.count == 1 ? note.key : "\(note.key), \(index + 1)", value: String(line)))
      }
    }
    return facts
  }

  /// What differs, as lines: `-` stands only in this checkpoint, `+` only in the other, `~` in both with other values.
  package func differences(to other: CheckpointReport) -> [String] {
    var lines: [String] = []
    for fact in facts {
      guard let match = other.facts.first(where: { $0.section == fact.section && $0.name == fact.name }) else {
        lines.append("- \(fact.section): \(fact.name): \(fact.value)")
        continue
      }
      if match.value != fact.value { lines.append("~ \(fact.section): \(fact.name): \(fact.value) → \(match.value)") }
    }
    for fact in other.facts where !facts.contains(where: { $0.section == fact.section && $0.name == fact.name }) {
      lines.append("+ \(fact.section): \(fact.name): \(fact.value)")
    }
    return lines
  }
}
