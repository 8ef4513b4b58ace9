import KafkaProtocol
import LinuxSystem
import Sluice

/// Measures the engine's operators in memory, each beside a hand-written single-purpose loop over the same bytes.
@main struct Engine {
  static let spec = CommandSpec(
    name: "Engine", summary: "Measures operators over record batches in memory, beside hand-written loops.",
    discussion: """
      The input is uncompressed record batches of 100-byte lines (10 words out of 10,000, Zipf 1.0), in memory of its own \
      for each partition. Engine and loop walk the same records; the loop runs on one thread and is the simplest code \
      that somebody would write for that one purpose. No guarantee is involved: nothing is written anywhere, but what the \
      sort spills. In the stateful cases the first two batches, which bring all keys, are not measured.
      """,
    options: [
      .value("records", "N", "records of the input", default: "2000000", format: .integer(1...100_000_000)),
      .value("keys", "N", "keys of the keyed cases", default: "1000000", format: .integer(1...100_000_000)),
      .value(
        "runs", "N", "runs; the fastest counts, of engine and loop in turn", default: "5", format: .integer(1...100)),
      .repeated("case", "NAME", "only these cases"),
      .value("json", "PATH", "also write the rows as JSON"),
      .flag("smoke", "a short run that shows that it works, not how fast"),
    ])

  static func main() throws {
    let options = try spec.parse(Array(CommandLine.arguments.dropFirst()))
    if options.isHelpAsked { return TextOutput.standard.write(spec.helpText()) }
    let isSmoke = try options.flag("smoke")
    let records = isSmoke ? 50_000 : try options.int("records")!
    let keys = isSmoke ? 10_000 : try options.int("keys")!
    let runs = isSmoke ? 1 : try options.int("runs")!
    let named = try options.all("case")
    var empty: EmptyBatches.Figures?
    if named.isEmpty || named.contains(EmptyBatches.name) {
      // First, so that the memory it reports is its own.
      empty = try EmptyBatches.measure(batches: isSmoke ? 200 : 10_000)
    }
    let input = try Input(records: records, partitions: 4)
    let cases = DatasetCases.all(input, keys: keys) + [SpillCase.sort(input, keys)] + StreamCases.all(input, keys: keys)
    let rows = try cases.filter { named.isEmpty || named.contains($0.name) }.map { try $0.measure(runs: runs) }
    TextOutput.standard.write(table(rows))
    for row in rows where !row.note.isEmpty { TextOutput.standard.write("\(row.name): \(row.note)\n") }
    if let empty { TextOutput.standard.write("\(EmptyBatches.name): \(empty.text)\n") }
    TextOutput.standard.flush()
    if let path = try options.string("json") {
      try LinuxFileStore().replace(path, with: Bytes(json(rows, empty)))
    }
  }

  private static func table(_ rows: [Row]) -> String {
    var table = TextTable([
      ("case", .left), ("items", .right), ("loop M/s", .right), ("1 executor M/s", .right), ("of the loop", .right),
      ("2 executors M/s", .right), ("times 1", .right), ("ms a batch", .right),
    ])
    for row in rows {
      table.add([
        row.name, "\(row.items)", fixed(row.rate(row.loop)), fixed(row.rate(row.one)),
        "\(Int((row.loop / row.one * 100).rounded())) %", fixed(row.rate(row.two)), fixed(row.one / row.two),
        row.batches > 1 ? fixed(row.one / Double(row.batches) * 1e3) : "–",
      ])
    }
    return table.text
  }

  /// With two decimals.
  static func fixed(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }

  private static func json(_ rows: [Row], _ empty: EmptyBatches.Figures?) -> String {
    let items = rows.map { row in
      """
        {"case":"\(row.name)","items":\(row.items),"batches":\(row.batches),"loop_seconds":\(row.loop),\
      "one_executor_seconds":\(row.one),"two_executors_seconds":\(row.two),"note":"\(row.note)"}
      """
    }
    return "{\"cases\":[\n\(items.joined(separator: ",\n"))\n],\n\"empty_batches\":\(empty?.json ?? "null")}\n"
  }
}
