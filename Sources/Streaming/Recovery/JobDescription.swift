import Groundwork
import SystemInterfaces

/// What a job looked like when it last started: kept in its checkpoint as text, for people and for the next start.
package struct JobDescription: Sendable, Equatable {
  /// Its file's name.
  package static let fileName = "job.text"

  /// An operator of the graph.
  package struct Operator: Sendable, Equatable {
    /// As given or derived.
    package var name: String
    /// What it does: `map`.
    package var label: String
    /// Whether the name was derived from kind and place.
    package var isDerived: Bool

    /// An operator of this name and kind.
    package init(name: String, label: String, isDerived: Bool) {
      self.name = name
      self.label = label
      self.isDerived = isDerived
    }
  }
  /// The job's name.
  package var job: String
  /// Its batch interval.
  package var interval: Duration
  /// Its sources' names.
  package var sources: [String]
  /// Its operators, in the order of definition.
  package var operators: [Operator]
  /// Its output operations, in the order of definition.
  package var outputs: [String]

  /// A job of these parts.
  package init(job: String, interval: Duration, sources: [String], operators: [Operator], outputs: [String]) {
    self.job = job
    self.interval = interval
    self.sources = sources
    self.operators = operators
    self.outputs = outputs
  }

  /// As it stands in the file, an item a line.
  package var text: String {
    var lines = ["checkpoint version=1", "job \(LineText.escaped(job))", "interval \(interval.inMilliseconds)"]
    lines += sources.map { "source \(LineText.escaped($0))" }
    lines += operators.map {
      "operator \(LineText.escaped($0.label)) \($0.isDerived ? "derived" : "given") \(LineText.escaped($0.name))"
    }
    lines += outputs.map { "output \(LineText.escaped($0))" }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Reads `text`; nil where it is anything else.
  package init?(text: String) {
    let lines = text.split(separator: "\n")
    guard lines.first == "checkpoint version=1" else { return nil }
    self.init(job: "", interval: .zero, sources: [], operators: [], outputs: [])
    for line in lines.dropFirst() {
      guard let space = line.firstIndex(of: " ") else { return nil }
      let rest = line[line.index(after: space)...]
      switch line[..<space] {
      case "job": job = LineText.unescaped(rest)
      case "interval":
        guard let milliseconds = Int64(rest) else { return nil }
        interval = .milliseconds(milliseconds)
      case "source": sources.append(LineText.unescaped(rest))
      case "output": outputs.append(LineText.unescaped(rest))
      case "operator":
        let words = rest.split(separator: " ", maxSplits: 2)
        guard words.count == 3 else { return nil }
        operators.append(
          Operator(
            name: LineText.unescaped(words[2]), label: LineText.unescaped(words[0]), isDerived: words[1] == "derived"))
      default: return nil
      }
    }
  }

  /// The description in a checkpoint folder; nil where there is none.
  /// - Throws: `StreamingError.checkpoint` where the file cannot be read or is none of ours.
  package static func read(in directory: String, _ files: any FileStore) throws(StreamingError) -> JobDescription? {
    let path = "\(directory)/\(fileName)"
    let bytes: Bytes
    do {
      guard try files.attributes(path) != nil else { return nil }
      bytes = try files.contents(of: path)
    } catch {
      throw .checkpoint("\(path) cannot be read: \(error)")
    }
    guard let description = JobDescription(text: String(bytes)) else {
      throw .checkpoint("\(path) is not the description of a job: choose another checkpoint folder")
    }
    return description
  }
}
