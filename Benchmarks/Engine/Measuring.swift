import Sluice
import StreamRuns

/// What one case took.
struct Row {
  var name: String
  /// Records, keys or pairs that one run handles.
  var items: Int
  /// Batches among which they are; 1 for a dataset.
  var batches: Int
  /// Seconds of the hand-written loop.
  var loop = Double.infinity
  /// Seconds of the engine on one executor.
  var one = Double.infinity
  /// Seconds of the engine on two.
  var two = Double.infinity
  var note = ""

  /// Millions a second.
  func rate(_ seconds: Double) -> Double { Double(items) / seconds / 1e6 }
}

/// One thing that is measured.
struct Case {
  var name: String
  var items: Int
  var batches = 1
  /// The engine's way, on so many executors.
  var engine: (_ executors: Int) throws -> Measured
  /// The hand-written loop, which must give the same sum.
  var loop: () throws -> Measured

  /// The fastest of several runs each, in turn: other work on the machine slows some of them down.
  func measure(runs: Int) throws -> Row {
    var row = Row(name: name, items: items, batches: batches)
    for _ in 0..<runs {
      let expected = try loop()
      row.loop = min(row.loop, expected.seconds)
      row.one = min(row.one, try run(1, expected.sum, &row.note))
      row.two = min(row.two, try run(2, expected.sum, &row.note))
    }
    return row
  }

  private func run(_ executors: Int, _ expected: Int, _ note: inout String) throws -> Double {
    let measured = try engine(executors)
    guard measured.sum == expected else { throw WrongResult(name: name, engine: measured.sum, loop: expected) }
    note = measured.note
    return measured.seconds
  }
}

/// Engine and loop disagree.
struct WrongResult: Error, CustomStringConvertible {
  var name: String
  var engine: Int
  var loop: Int
  var description: String { "\(name): the engine gave \(engine), the loop \(loop)" }
}
