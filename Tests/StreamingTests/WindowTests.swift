import Datasets
import Groundwork
import Testing

@testable import Streaming

/// Windows: what is in them, what they cost, what they keep.
@Suite struct WindowTests {
  /// The figure of Spark's guide: a window of three units that slides by two.
  @Test func threeUnitsSlidingByTwo() throws {
    try expectMarbles(
      """
      in   1 | 2   | 3 | 4     | 5 | 6     | 7
      out    | 1 2 |   | 2 3 4 |   | 4 5 6 |
      """
    ) { $0.window(.seconds(3), slide: .seconds(2)) }
    try expectMarbles(
      """
      in   1 | 2   | 3 | 4     | 5 | 6     | 7
      out    | 0=2 1=1 |   | 0=6 1=3 |   | 0=10 1=5 |
      """, sorted: true
    ) { stream in
      stream.map { ($0 % 2, $0) }.reduceByKeyAndWindow(window: .seconds(3), slide: .seconds(2)) { $0 + $1 }
    }
    try expectMarbles(
      """
      in   1 | 2   | 3 | 4     | 5 | 6     | 7
      out    | 0=2 1=1 |   | 0=6 1=3 |   | 0=10 1=5 |
      """, sorted: true
    ) { stream in
      stream.map { ($0 % 2, $0) }
        .reduceByKeyAndWindow(window: .seconds(3), slide: .seconds(2), inverse: { $0 - $1 }) { $0 + $1 }
    }
  }

  @Test func everyWindowOperator() throws {
    let input = "in   1 2 | 3 | . | . | 4\n"
    func expect<Out: Sendable>(_ row: String, _ define: (DStream<Int>) -> DStream<Out>) throws {
      try expectMarbles(input + "out  " + row, sorted: true, define)
    }
    try expect("1 2 | 1 2 3 | 3 | . | 4") { $0.window(.seconds(2)) }
    try expect("2 | 3 | 1 | 0 | 1") { $0.countByWindow(.seconds(2)) }
    try expect("3 | 6 | 3 | . | 4") { $0.reduceByWindow(.seconds(2)) { $0 + $1 } }
    try expect("3 | 6 | 3 | . | 4") { $0.reduceByWindow(.seconds(2), inverse: { $0 - $1 }) { $0 + $1 } }
    try expect("1=1 2=1 | 1=1 2=1 3=1 | 3=1 | . | 4=1") { $0.countByValueAndWindow(window: .seconds(2)) }
    try expect("0=[2] 1=[1] | 0=[2] 1=[1,3] | 1=[3] | . | 0=[4]") {
      $0.map { ($0 % 2, $0) }.groupByKeyAndWindow(window: .seconds(2))
    }
    try expect("0=2 1=1 | 0=2 1=4 | 1=3 | . | 0=4") {
      $0.map { ($0 % 2, $0) }.reduceByKeyAndWindow(window: .seconds(2), inverse: { $0 - $1 }) { $0 + $1 }
    }
    try expect("1=1 | 1=4 | 1=3 | . | .") {
      $0.map { ($0 % 2, $0) }
        .reduceByKeyAndWindow(window: .seconds(2), inverse: { $0 - $1 }, filter: { $0.0 == 1 }) { $0 + $1 }
    }
  }

  @Test func tumblingWindows() throws {
    try expectMarbles(
      """
      in   1 | 2   | 3 | 4 | 5 | .
      out    | 1 2 |   | 3 4 | | 5
      """
    ) { $0.window(.seconds(2), slide: .seconds(2)) }
    try expectMarbles(
      """
      in   1 | 2 | 3 | 4 | 5 | .
      out    | 2 |   | 2 |   | 1
      """
    ) { $0.countByWindow(.seconds(2), slide: .seconds(2)) }
  }

  @Test func windowsOfWindows() throws {
    try expectMarbles(
      """
      in   1 | 2 | 3 | 4 | 5 | 6 | 7 | 8
      out    |   |   | 10 |  |   |   | 26
      """
    ) {
      $0.reduceByWindow(.seconds(2), slide: .seconds(2)) { $0 + $1 }
        .reduceByWindow(.seconds(4), slide: .seconds(4)) { $0 + $1 }
    }
  }

  @Test func partitionersOfWindows() throws {
    let parity = Partitioner<Int>(partitionCount: 2) { $0 % 2 }
    for isInverted in [false, true] {
      try expectMarbles(
        """
        in   1 2 | 3 | 4
        out  [2] [1] | [2] [1,3] | [4] [3]
        """
      ) { stream in
        let pairs = stream.map { ($0, $0) }
        let sums =
          isInverted
          ? pairs.reduceByKeyAndWindow(
            window: .seconds(2), partitioner: parity, inverse: { $0 - $1 }
          ) { $0 + $1 }
          : pairs.reduceByKeyAndWindow(window: .seconds(2), partitioner: parity) { $0 + $1 }
        return sums.mapPartitions { pairs, _ in [pairs.map(\.1).sorted()] }
      }
    }
  }

  /// Plain, with the inverse, and grouped, beside the model on arrays, for any lengths, slides and gaps.
  @Test func everyFormEqualsTheModel() throws {
    for seed in 1...25 as ClosedRange<UInt64> {
      var random = SeededRandom(seed: seed)
      let batches = (0..<16).map { _ in
        (0..<Int.random(in: 0...6, using: &random)).map { _ in
          (Int.random(in: 0...4, using: &random), Int.random(in: -9...9, using: &random))
        }
      }
      let length = Int.random(in: 1...6, using: &random)
      // Also slides that leave gaps between the windows.
      let slide = Int.random(in: 1...length + 1, using: &random)
      let harness = try StreamHarness(parallelism: Int.random(in: 1...3, using: &random))
      try alignTime(harness)
      let queue = QueueSource<(Int, Int)>()
      for batch in batches { queue.append(batch) }
      let input = harness.context.queueStream(queue)
      let results = Cell<[String: [[Int: Int]]]>([:])
      func record(_ name: String, _ stream: DStream<(Int, Int)>) {
        stream.foreachRDD { dataset in
          results.value[name, default: []].append(Dictionary(uniqueKeysWithValues: try dataset.collect()))
        }
      }
      let (window, step) = (Duration.seconds(length), Duration.seconds(slide))
      record("plain", input.reduceByKeyAndWindow(window: window, slide: step) { $0 + $1 })
      record("inverse", input.reduceByKeyAndWindow(window: window, slide: step, inverse: { $0 - $1 }) { $0 + $1 })
      record("grouped", input.groupByKeyAndWindow(window: window, slide: step).mapValues { $0.reduce(0, +) })
      record("elements", input.window(window, slide: step).reduceByKey { $0 + $1 })
      try harness.start()
      try harness.advance(batches.count)
      try harness.stop()
      let expected = stride(from: slide, through: batches.count, by: slide).map { end in
        batches[max(0, end - length)..<end].joined().reduce(into: [Int: Int]()) { $0[$1.0, default: 0] += $1.1 }
      }
      for name in ["plain", "inverse", "grouped", "elements"] {
        #expect(results.value[name] == expected, "seed \(seed): \(name), window of \(length) sliding by \(slide)")
      }
    }
  }

  @Test func theInverseTouchesOnlyWhatEntersAndLeaves() throws {
    let harness = try StreamHarness(parallelism: 1)
    let queue = QueueSource<Int>()
    for _ in 0..<40 { queue.append([1]) }
    let calls = Cell<[Int]>([0, 0])
    let sums = Cell<[Int]>([])
    harness.context.queueStream(queue).map { (0, $0) }.reduceByKeyAndWindow(
      window: .seconds(20),
      inverse: {
        calls.value[1] += 1
        return $0 - $1
      }
    ) {
      calls.value[0] += 1
      return $0 + $1
    }.foreachRDD { dataset in sums.value += try dataset.collect().map(\.1) }
    try harness.start()
    try harness.advance(30)
    let before = calls.value
    try harness.advance(10)
    try harness.stop()
    #expect(Array(sums.value.suffix(10)) == Array(repeating: 20, count: 10))
    // One pane comes and one goes with each of ten windows.
    #expect(calls.value[0] - before[0] == 10 && calls.value[1] - before[1] == 10)
  }

  @Test func batchesAreReducedBeforeTheirWindowIsDue() throws {
    let harness = try StreamHarness()
    try alignTime(harness)
    let queue = QueueSource<Int>()
    for batch in 1...8 { queue.append([batch, batch]) }
    let computed = Cell(0)
    let sums = Cell<[Int]>([])
    let stream = harness.context.queueStream(queue).map { (element: Int) -> (Int, Int) in
      computed.value += 1
      return (element % 2, element)
    }
    stream.reduceByKeyAndWindow(window: .seconds(8), slide: .seconds(4)) { $0 + $1 }
      .foreachRDD { dataset in sums.value.append(try dataset.collect().reduce(0) { $0 + $1.1 }) }
    try harness.start()
    try harness.advance(3)
    #expect(computed.value == 6 && sums.value == [])
    try harness.advance(5)
    #expect(computed.value == 16 && sums.value == [20, 72])
    // Nothing before is needed any more.
    #expect(harness.context.streams.allSatisfy { $0.rememberDuration == .zero && $0.rememberedCount == 0 })
    try harness.stop()
  }

  @Test func severalWindowsComputeTheirStreamOnce() throws {
    let harness = try StreamHarness()
    let queue = QueueSource<Int>()
    for batch in 1...10 { queue.append([batch]) }
    let computed = Cell(0)
    let stream = harness.context.queueStream(queue).map { (element: Int) -> (Int, Int) in
      computed.value += 1
      return (0, element)
    }
    let sums = Cell<[Int]>([])
    for length in [2, 5] {
      stream.reduceByKeyAndWindow(window: .seconds(length)) { $0 + $1 }
        .foreachRDD { sums.value += try $0.collect().map(\.1) }
    }
    stream.window(.seconds(3)).foreachRDD { sums.value.append(try $0.collect().reduce(0) { $0 + $1.1 }) }
    try harness.start()
    try harness.advance(10)
    #expect(harness.context.sluice.blocks.blockCount > 0)
    try harness.stop()
    #expect(computed.value == 10)
    #expect(Array(sums.value.suffix(3)) == [19, 40, 27])
    // What was kept goes with the job.
    #expect(harness.context.sluice.blocks.blockCount == 0)
  }

  @Test func aWindowThatNobodyComputedInPartIsStillRight() throws {
    let harness = try StreamHarness(parallelism: 4)
    let queue = QueueSource<Int>()
    for batch in 0..<12 { queue.append([batch, batch + 1, batch + 2]) }
    let sums = Cell<[Int]>([])
    harness.context.queueStream(queue).map { ($0, 1) }
      .reduceByKeyAndWindow(window: .seconds(3), inverse: { $0 - $1 }) { $0 + $1 }
      .foreachRDD { dataset, time in
        // Only some of its partitions in most batches, none in some.
        if time.milliseconds / 1000 % 3 == 0 {
          sums.value.append(try dataset.collect().reduce(0) { $0 + $1.1 })
        } else if time.milliseconds / 1000 % 3 == 1 {
          _ = try dataset.first()
        }
      }
    try harness.start()
    try harness.advance(12)
    try harness.stop()
    #expect(sums.value.dropFirst().allSatisfy { $0 == 9 } && sums.value.count >= 3, "\(sums.value)")
  }

  @Test func aBatchThatIsGivenUpIsInNoWindow() throws {
    let harness = try StreamHarness()
    let queue = QueueSource<Int>()
    for batch in 1...6 { queue.append([batch]) }
    let sums = Cell<[[Int]]>([[], []])
    let given = Cell(0)
    let pairs = harness.context.queueStream(queue).map { (0, $0) }
    pairs.reduceByKeyAndWindow(window: .seconds(3), inverse: { $0 - $1 }) { $0 + $1 }
      .foreachRDD { sums.value[0] += try $0.collect().map(\.1) }
    pairs.reduceByKeyAndWindow(window: .seconds(3)) { $0 + $1 }
      .foreachRDD { sums.value[1] += try $0.collect().map(\.1) }
    try harness.start()
    try harness.advance(3)
    given.value = harness.context.streams.count
    for stream in harness.context.streams { stream.discard(3) }
    try harness.advance(3)
    try harness.stop()
    // 1, 1+2, 1+2+3, then without the 3.
    #expect(sums.value == [[1, 3, 6, 6, 9, 15], [1, 3, 6, 6, 9, 15]])
  }

  @Test func aBatchOfAPaneThatIsGivenUpIsInNoWindow() throws {
    let harness = try StreamHarness()
    try alignTime(harness)
    let queue = QueueSource<Int>()
    for batch in 1...8 { queue.append([batch]) }
    let sums = Cell<[Int]>([])
    harness.context.queueStream(queue).map { (0, $0) }
      .reduceByKeyAndWindow(window: .seconds(4), slide: .seconds(4)) { $0 + $1 }
      .foreachRDD { sums.value += try $0.collect().map(\.1) }
    try harness.start()
    try harness.advance(3)
    for stream in harness.context.streams { stream.discard(3) }
    try harness.advance(5)
    try harness.stop()
    #expect(sums.value == [1 + 2 + 4, 5 + 6 + 7 + 8])
  }

  @Test func tenThousandBatchesKeepNoMoreThanTheirWindows() throws {
    let harness = try StreamHarness(parallelism: 1, executors: 1)
    let queue = QueueSource<Int>()
    let context = harness.context
    let stream = context.queueStream(queue)
    let pairs = stream.map { ($0 % 7, $0) }
    let counts = Cell(0)
    pairs.reduceByKeyAndWindow(window: .seconds(6), slide: .seconds(2)) { $0 &+ $1 }
      .foreachRDD { counts.value += try $0.count() }
    pairs.reduceByKeyAndWindow(window: .seconds(5), inverse: { $0 &- $1 }) { $0 &+ $1 }
      .foreachRDD { counts.value += try $0.count() }
    stream.map { $0 }.window(.seconds(3)).foreachRDD { counts.value += try $0.count() }
    try harness.start()
    var seen: [Int: (remembered: Int, blocks: Int, bytes: Int)] = [:]
    for batch in 0..<10_000 {
      queue.append([batch, batch &* 31, batch &* 17])
      try harness.advance()
      guard batch == 99 || batch == 9999 else { continue }
      seen[batch] = (
        context.streams.reduce(0) { $0 + $1.rememberedCount }, context.sluice.blocks.blockCount,
        context.sluice.blocks.bytes
      )
    }
    try harness.stop()
    let (early, late) = (seen[99]!, seen[9999]!)
    #expect(early.remembered == late.remembered && early.blocks == late.blocks && early.bytes == late.bytes)
    #expect(late.remembered < 60 && late.blocks > 0 && late.blocks < 20, "\(late)")
    #expect(counts.value > 100_000)
  }

  @Test func badWindowsAreRefusedWithAProposal() throws {
    func problem(_ define: (DStream<Int>) -> Void) throws -> String {
      let harness = try StreamHarness(interval: .milliseconds(500))
      define(harness.context.queueStream(QueueSource<Int>()))
      return "\(#expect(throws: StreamingError.self) { try harness.start() }.map { "\($0)" } ?? "")"
    }
    let choices = "of the batch interval of 500ms; choose slides of 500ms, 1s, 1500ms …"
    #expect(
      try problem { $0.window(.seconds(2), slide: .milliseconds(700)).print() }
        == "window: the slide of 700ms is not a multiple \(choices)")
    #expect(
      try problem { $0.countByWindow(.zero).print() }
        == "countByWindow: the window of 0ms is not a multiple of the batch interval of 500ms; choose windows of 500ms, "
        + "1s, 1500ms …")
    #expect(
      try problem { $0.window(.seconds(2), slide: .seconds(2)).countByWindow(.seconds(4), slide: .seconds(3)).print() }
        == "countByWindow: the slide of 3s is not a multiple of the slide of the windows it is made of, 2s; choose "
        + "slides of 2s, 4s, 6s …")
    #expect(
      try problem { stream in stream.window(.seconds(2), slide: .seconds(2)).union(stream).print() }
        == "union: its streams have datasets every 2s and every 500ms; give their windows the same slide")
  }
}
