import Codecs
import Groundwork
import KafkaProtocol
import Testing

@testable import KafkaClients
@testable import KafkaStreaming

/// `RangeChoice` beside a naive model that looks at one offset after the other.
@Suite struct RangeChoiceTests {
  private static let template: RecordBatchHeader = {
    var builder = RecordBatchBuilder()
    do {
      try builder.append(key: nil, value: nil, timestamp: 0)
      let bytes = try builder.finish(using: CodecWorkspace())
      return try bytes.withUnsafeBytes { raw throws(RecordBatchError) in try RecordBatchHeader.parse(raw) }
    } catch {
      fatalError("no header: \(error)")
    }
  }()

  /// A batch that nobody decodes: what counts is its header.
  private static func batch(_ base: Int64, span: Int64, records: Int32, isControl: Bool, bytes: Int) -> BufferedBatch {
    var header = template
    header.baseOffset = Offset(base)
    header.lastOffsetDelta = Int32(span - 1)
    header.recordCount = records
    if isControl { header.attributes |= RecordBatchLayout.controlBit }
    return BufferedBatch(header: header, bytes: Bytes([UInt8](repeating: 0, count: bytes)), aborted: [])
  }

  private static func snapshot(_ batches: [BufferedBatch], start: Int64, next: Int64) -> PartitionSnapshot {
    PartitionSnapshot(
      partition: TopicPartition("t", 0), startOffset: Offset(start), nextOffset: Offset(next), batches: batches,
      bufferedBytes: 0, highWatermark: nil, lastStableOffset: nil, logStartOffset: nil)
  }

  @Test func nothingThereIsAnEmptyRange() {
    let choice = RangeChoice(RangeChoiceTests.snapshot([], start: 5, next: 5), next: 5, end: nil, recordsMax: nil)
    #expect(choice.until == 5 && choice.records == 0 && choice.batches.isEmpty && !choice.isLimited)
  }

  @Test func anEndBeforeThePositionTakesNothing() {
    let batches = [RangeChoiceTests.batch(0, span: 10, records: 10, isControl: false, bytes: 50)]
    let choice = RangeChoice(RangeChoiceTests.snapshot(batches, start: 0, next: 10), next: 4, end: 4, recordsMax: nil)
    #expect(choice.until == 4 && choice.batches.isEmpty)
  }

  @Test func aHoleInTheBufferIsNotSkipped() {
    let batches = [RangeChoiceTests.batch(20, span: 10, records: 10, isControl: false, bytes: 50)]
    let choice = RangeChoice(
      RangeChoiceTests.snapshot(batches, start: 20, next: 30), next: 10, end: nil, recordsMax: nil)
    #expect(choice.until == 10 && choice.batches.isEmpty)
  }

  /// Rules, checked for random partitions with gaps and control batches, walked plan by plan to the end:
  /// ranges tile; every batch that touches a range is in it, in order, and no other; the limit holds; a cut falls inside
  /// a batch only where that batch alone exceeds the limit; each plan makes progress.
  @Test func randomPartitionsAreTiled() {
    var problems: [String] = []
    for seed in UInt64(0)..<3000 {
      if let problem = RangeChoiceTests.check(seed) { problems.append("seed \(seed): \(problem)") }
    }
    #expect(problems.isEmpty, "\(problems.prefix(5))")
  }

  private static func check(_ seed: UInt64) -> String? {
    var random = SeededRandom(seed: seed)
    var batches: [BufferedBatch] = []
    var offset = Int64.random(in: 0...20, using: &random)
    let start = offset
    for _ in 0..<Int.random(in: 1...12, using: &random) {
      // A gap: whole batches were compacted away.
      if random.next() % 4 == 0 { offset += Int64.random(in: 1...9, using: &random) }
      let isControl = random.next() % 6 == 0
      let span = isControl ? 1 : Int64.random(in: 1...12, using: &random)
      // Fewer records than offsets: some were compacted away, perhaps all.
      let records = random.next() % 3 == 0 ? Int32.random(in: 0...Int32(span), using: &random) : Int32(span)
      batches.append(
        batch(offset, span: span, records: isControl ? 1 : records, isControl: isControl, bytes: 16 + Int(span)))
      offset += span
    }
    let arrived = snapshot(batches, start: start, next: offset)
    let limit = random.next() % 4 == 0 ? nil : Int.random(in: 1...15, using: &random)
    let end = random.next() % 2 == 0 ? nil : Offset(Int64.random(in: start...offset, using: &random))
    let last = min(end ?? Offset(offset), Offset(offset))
    var position = Offset(random.next() % 3 == 0 ? Int64.random(in: start...offset, using: &random) : start)
    var plans = 0
    while position < last {
      let choice = RangeChoice(arrived, next: position, end: end, recordsMax: limit)
      if choice.until <= position { return "no progress at \(position)" }
      if choice.until > last { return "beyond the end: \(choice.until) > \(last)" }
      let touched = batches.filter {
        $0.header.nextOffset > position && $0.header.baseOffset < choice.until && !$0.header.isControl
      }
      if choice.batches.map(\.count) != touched.map(\.bytes.count) {
        return "\(position)..<\(choice.until) holds \(choice.batches.count) batches, not \(touched.count)"
      }
      if choice.bytes != touched.reduce(0, { $0 + $1.bytes.count }) { return "bytes are miscounted" }
      // What the headers can promise at most.
      let most = touched.reduce(0) { sum, batch in
        let header = batch.header
        let inside = min(header.nextOffset, choice.until) - max(header.baseOffset, position)
        return sum + min(Int(header.recordCount), Int(inside))
      }
      if choice.records != most {
        return "\(choice.records) records counted in \(position)..<\(choice.until), not \(most)"
      }
      if let limit, choice.records > limit { return "\(choice.records) records exceed \(limit)" }
      if limit == nil, choice.until != last { return "not all taken without a limit" }
      if choice.isLimited != (choice.until < last) {
        return "isLimited is \(choice.isLimited) at \(choice.until) of \(last)"
      }
      if let limit, let cut = touched.last, choice.until < cut.header.nextOffset, choice.until < last {
        let rest = min(
          Int(cut.header.recordCount), Int(min(cut.header.nextOffset, last) - max(cut.header.baseOffset, position)))
        if rest <= limit { return "a batch of \(rest) records was cut under a limit of \(limit)" }
        if touched.dropLast().contains(where: { $0.header.recordCount > 0 }) {
          return "a batch was cut behind others at \(choice.until)"
        }
      }
      position = choice.until
      plans += 1
      if plans > 400 { return "too many plans" }
    }
    return nil
  }
}
