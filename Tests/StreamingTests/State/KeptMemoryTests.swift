import Datasets
import Groundwork
import Testing

@testable import Streaming

/// What is kept beyond a batch does not keep the memory that the batch came in: seen by whether its arena still lives.
@Suite struct KeptMemoryTests {
  typealias Pair = (Bytes, Bytes?)

  /// Runs a batch of slices of an arena and, while its elements are kept, some empty ones.
  /// - Returns: rows of the last batch, and whether the arena still lives.
  private func run(
    checkpoint: String?, _ define: (DStream<Pair>) -> DStream<Int>
  ) throws -> (rows: [Int], isAlive: Bool) {
    let out = Cell<[[Int]]>([])
    let driver = try HandDriver<Pair>(HandDriver<Pair>.World(seed: 1), checkpoint: checkpoint) { driver in
      driver.output(define(driver.source), into: out)
    }
    weak var arena: Arena?
    try {
      let made = Arena(capacity: 1000)
      arena = made
      made.base.initializeMemory(as: UInt8.self, repeating: 65, count: 1000)
      try driver.run([[(Bytes(made, offset: 0, count: 100), Bytes(made, offset: 200, count: 50))]])
    }()
    for _ in 0..<8 { try driver.run([[]]) }
    return try withExtendedLifetime(driver) { (try #require(out.value.last), arena != nil) }
  }

  @Test(arguments: ["/check", nil]) func windowsAndState(_ checkpoint: String?) throws {
    let length = Duration.seconds(20)
    let forms: [(name: String, define: (DStream<Pair>) -> DStream<Int>)] = [
      ("reduced", { $0.reduceByKeyAndWindow(window: length) { a, _ in a }.map { ($0.1?.count ?? 0) + $0.0.count } }),
      ("grouped", { $0.groupByKeyAndWindow(window: length).map { ($0.1[0]?.count ?? 0) + $0.0.count } }),
      (
        "inverse",
        { stream in
          stream.map { ($0.0, [$0.1]) }.reduceByKeyAndWindow(
            window: length, inverse: { a, b in Array(a.dropFirst(b.count)) }
          ) { $0 + $1 }.map { ($0.1[0]?.count ?? 0) + $0.0.count }
        }
      ),
      (
        "state",
        { stream in
          stream.updateStateByKey { (new: [Bytes?], old: [Bytes?]?) in (old ?? []) + new }
            .map { ($0.1[0]?.count ?? 0) + $0.0.count }
        }
      ),
    ]
    for (name, define) in forms {
      let (rows, isAlive) = try run(checkpoint: checkpoint, define)
      #expect(rows == [150] && !isAlive, "\(name)")
    }
  }
}
