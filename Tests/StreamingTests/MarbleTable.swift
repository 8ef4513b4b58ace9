import Datasets
import Groundwork
import Testing

@testable import Streaming

/// A table of batches: rows are streams, columns are batches; `.` is an empty batch, a blank cell a batch without a
/// dataset (between the slides of a window). Elements are written without spaces, quotes and `Optional`.
///
///     in   a b | c | .
///     out  b=1 | …
///
/// The rows above the last are inputs, in the order in which `define` gets their streams; the last one is expected. Time
/// starts at a whole multiple of seven hours, so column n ends n intervals after a multiple of every slide.
func expectMarbles<In: Sendable, Out: Sendable>(
  _ table: String, parallelism: Int = 2, sorted: Bool = false, read: @escaping (String) -> In,
  _ define: ([DStream<In>]) -> DStream<Out>, at location: SourceLocation = #_sourceLocation
) throws {
  let rows = table.split(separator: "\n").map { line in
    // The first word is the row's name.
    line.drop { $0 == " " }.drop { $0 != " " }.split(separator: "|", omittingEmptySubsequences: false).map {
      $0.split(separator: " ").map(String.init)
    }
  }
  let harness = try StreamHarness(parallelism: parallelism)
  try alignTime(harness)
  let inputs = rows.dropLast().map { cells in
    let queue = QueueSource<In>()
    for cell in cells { queue.append(cell == ["."] ? [] : cell.map(read)) }
    return harness.context.queueStream(queue)
  }
  let results = try recordColumns(harness, inputs[0], define(inputs), rows[0].count)
  let found = results.map { batch in
    guard let batch else { return "" }
    let cells = batch.map(marbleText)
    return cells.isEmpty ? "." : (sorted ? cells.sorted() : cells).joined(separator: " ")
  }
  let expected = rows.last!.map { sorted ? $0.sorted().joined(separator: " ") : $0.joined(separator: " ") }
  #expect(found == expected, sourceLocation: location)
}

/// As above, over integers.
func expectMarbles<Out: Sendable>(
  _ table: String, parallelism: Int = 2, sorted: Bool = false, _ define: (DStream<Int>) -> DStream<Out>,
  at location: SourceLocation = #_sourceLocation
) throws {
  try expectMarbles(
    table, parallelism: parallelism, sorted: sorted, read: { Int($0)! }, { define($0[0]) }, at: location)
}

/// As above, over pairs such as `a=1`, of two streams.
func expectPairMarbles<Out: Sendable>(
  _ table: String, parallelism: Int = 2,
  _ define: (DStream<(String, Int)>, DStream<(String, Int)>) -> DStream<Out>,
  at location: SourceLocation = #_sourceLocation
) throws {
  try expectMarbles(
    table, parallelism: parallelism, sorted: true,
    read: { text in
      let parts = text.split(separator: "=")
      return (String(parts[0]), Int(parts[1])!)
    }, { define($0[0], $0.count > 1 ? $0[1] : $0[0]) }, at: location)
}

/// `("a", (1, Optional(2)))` as `a=1,2`.
private func marbleText(_ element: some Any) -> String {
  var text = "\(element)".replacing("Optional", with: "").filter { !" \"()".contains($0) }
  if let comma = text.firstIndex(of: ","), "\(element)".hasPrefix("(") {
    text.replaceSubrange(comma...comma, with: "=")
  }
  return text
}

/// Lets time pass to a whole multiple of seven hours, and so of every slide up to ten seconds.
func alignTime(_ harness: StreamHarness) throws {
  let step: Int64 = 7 * 3_600_000
  let past = harness.simulation.wallTime.milliseconds % step
  if past > 0 { try harness.simulation.run(for: .milliseconds(step - past)) }
}

/// Runs so many batches and gives what the stream had in each; nil where it had no dataset.
func recordColumns<In: Sendable, Out: Sendable>(
  _ harness: StreamHarness, _ input: DStream<In>, _ output: DStream<Out>, _ count: Int
) throws -> [[Out]?] {
  let results = Cell<[[Out]?]>([])
  // Outputs run in order: the first opens the column, the second fills it.
  input.foreachRDD { _ in results.value.append(nil) }
  output.foreachRDD { dataset in
    let elements = try dataset.collect()
    results.value[results.value.count - 1] = .some(elements)
  }
  try harness.start()
  try harness.advance(count)
  try harness.stop()
  #expect(harness.end == ["ended"])
  return results.value
}
