import Codecs
import Groundwork
import KafkaProtocol
import Testing

@testable import KafkaClients
@testable import KafkaStreaming

/// What a batch reads of a partition with transactions in it, beside a model that knows of every record whether its
/// transaction was committed.
@Suite struct AbortedTransactionTests {
  private static let partition = TopicPartition("t", 0)

  private static func read(_ batches: [Bytes], _ range: OffsetRange, _ workspace: CodecWorkspace) throws -> [String] {
    var values: [String] = []
    for bytes in batches {
      try RecordBatch(bytes).records(using: workspace).forEachRecord(from: range.from, until: range.until) {
        values.append($0.value.map { String($0) } ?? "")
      }
    }
    return values
  }

  /// A log grows while it is fetched and planned; batches are cut by limits of records and by answers; every range is
  /// then fetched again for itself, in answers cut elsewhere.
  @Test(arguments: [UInt64(0), 1000, 2000]) func whatIsReadIsWhatWasCommitted(_ first: UInt64) {
    var problems: [String] = []
    for seed in first..<first + 1000 {
      do {
        if let problem = try AbortedTransactionTests.check(seed) { problems.append("seed \(seed): \(problem)") }
      } catch {
        problems.append("seed \(seed): \(error)")
      }
    }
    #expect(problems.isEmpty, "\(problems.count) of 1000, such as \(problems.prefix(5))")
  }

  private static func check(_ seed: UInt64) throws -> String? {
    var random = SeededRandom(seed: seed)
    let workspace = CodecWorkspace()
    let start = Int64.random(in: 0...9, using: &random)
    var log = TransactionalLog(start: start)
    var values = 0
    let buffer = FetchBuffer()
    buffer.reset(partition, to: Offset(start))
    var fetched = start
    var position = Offset(start)
    var filter = AbortedFilter()
    var planned: [(range: OffsetRange, values: [String])] = []
    var aborted = 0
    let steps = Int.random(in: 10...60, using: &random)
    for step in 0..<steps + 40 {
      if step < steps {
        for _ in 0..<Int.random(in: 0...4, using: &random) { try log.grow(using: &random, values: &values) }
      } else if log.hasOpenTransactions {
        try log.finish(log.openProducers[0], aborting: random.next() % 2 == 0)
      }
      if random.next() % 2 == 0 || step >= steps {
        let data = log.answer(
          from: fetched, batchesMax: Int.random(in: 1...6, using: &random), listsMore: random.next() % 2 == 0)
        let answer = try FetchAnswer(data, from: Offset(fetched))
        buffer.append(partition, answer.batches, nextOffset: answer.nextOffset)
        fetched = answer.nextOffset.rawValue
      }
      guard random.next() % 3 != 0 || step >= steps, let arrived = buffer.snapshot(of: partition) else { continue }
      let limit = random.next() % 2 == 0 ? nil : Int.random(in: 1...8, using: &random)
      let choice = RangeChoice(arrived, next: position, filter: filter, end: nil, recordsMax: limit)
      let range = OffsetRange(partition, from: position, until: choice.until)
      let shown = try read(choice.batches, range, workspace)
      let expected = log.committed(range.from.rawValue..<range.until.rawValue)
      if shown != expected { return "\(range) shows \(shown), not \(expected)" }
      if shown.count > choice.records { return "\(choice.records) records promised, \(shown.count) there" }
      if let limit, shown.count > limit { return "\(shown.count) records exceed \(limit)" }
      if limit == nil, choice.until.rawValue != fetched { return "\(choice.until) of \(fetched) without a limit" }
      if choice.isLimited != (choice.until.rawValue < fetched) { return "isLimited \(choice.isLimited) at \(range)" }
      if choice.until > position { planned.append((range, shown)) }
      aborted += choice.abortedRecords
      position = choice.until
      filter = choice.filter
      _ = buffer.release(partition, upTo: position)
    }
    if aborted > 0, log.committed(start..<fetched).count == log.uncommitted(start..<fetched).count {
      return "\(aborted) records were called aborted, and none was"
    }
    // Fetched again, as a task does whose bytes are gone: answers end elsewhere, and the log has grown meanwhile.
    for (range, expected) in planned {
      var found = FetchedRange(batches: [], nextOffset: range.from, aborted: [])
      var lists: Set<AbortedTransaction> = []
      while found.nextOffset < range.until {
        let data = log.answer(
          from: found.nextOffset.rawValue, batchesMax: Int.random(in: 1...4, using: &random),
          listsMore: random.next() % 2 == 0)
        let answer = try FetchAnswer(data, from: found.nextOffset)
        if answer.batches.isEmpty { break }
        for batch in answer.batches where batch.header.baseOffset < range.until {
          found.batches.append(batch.bytes)
          lists.formUnion(batch.aborted)
        }
        found.nextOffset = answer.nextOffset
      }
      found.aborted = lists.sorted()
      let again = try read(try RangeFetch.readable(found, range).batches, range, workspace)
      if again != expected { return "\(range) fetched again shows \(again), not \(expected)" }
    }
    return nil
  }

  @Test func readUncommittedShowsAllButMarkers() throws {
    var log = TransactionalLog()
    try log.append(["a", "b"], producer: 7)
    try log.append(["c"])
    try log.finish(7, aborting: true)
    try log.append(["d"], producer: 8)
    let answer = try FetchAnswer(log.answer(from: 0, batchesMax: 9, committedOnly: false), from: 0)
    let buffer = FetchBuffer()
    buffer.reset(AbortedTransactionTests.partition, to: 0)
    buffer.append(AbortedTransactionTests.partition, answer.batches, nextOffset: answer.nextOffset)
    let arrived = try #require(buffer.snapshot(of: AbortedTransactionTests.partition))
    let choice = RangeChoice(arrived, next: 0, end: nil, recordsMax: nil)
    let range = OffsetRange(AbortedTransactionTests.partition, from: 0, until: choice.until)
    #expect(try AbortedTransactionTests.read(choice.batches, range, CodecWorkspace()) == ["a", "b", "c", "d"])
    #expect(choice.until == 5 && choice.records == 4 && choice.abortedRecords == 0 && choice.batches.count == 3)
  }

  /// One producer aborts, commits and aborts; a second one's transaction lies around all of it.
  @Test func aListGoesOnNamingWhatWasClosed() throws {
    var log = TransactionalLog()
    try log.append(["x"], producer: 8)
    try log.append(["a"], producer: 7)
    try log.finish(7, aborting: true)
    try log.append(["b"], producer: 7)
    try log.finish(7, aborting: false)
    try log.append(["c"], producer: 7)
    try log.finish(7, aborting: true)
    try log.finish(8, aborting: true)
    let answer = try FetchAnswer(log.answer(from: 0, batchesMax: 99), from: 0)
    var filter = AbortedFilter()
    let hidden = answer.batches.map { filter.hides($0.header, $0.aborted) }
    #expect(hidden == [true, true, true, false, true, true, true, true])
    #expect(!filter.hasOpenTransactions)
    // A state of the middle goes on as the whole did.
    for cut in 0..<answer.batches.count {
      var one = AbortedFilter()
      let head = answer.batches[..<cut].map { one.hides($0.header, $0.aborted) }
      var two = one
      let tail = answer.batches[cut...].map { two.hides($0.header, $0.aborted) }
      #expect(head + tail == hidden)
      // Reading a batch of records twice changes nothing.
      var three = one
      if !answer.batches[cut].header.isControl {
        _ = three.hides(answer.batches[cut].header, answer.batches[cut].aborted)
        let again = answer.batches[cut...].map { three.hides($0.header, $0.aborted) }
        #expect(again == Array(hidden[cut...]))
      }
    }
  }

  /// What a filter remembers is no more than the open transactions and one list, however long the log.
  @Test func whatIsClosedIsForgotten() throws {
    var filter = AbortedFilter()
    var log = TransactionalLog()
    for producer in Int64(0)..<500 {
      try log.append(["x"], producer: producer)
      try log.finish(producer, aborting: true)
    }
    var from: Int64 = 0
    var shown = 0
    while from < log.end {
      let answer = try FetchAnswer(log.answer(from: from, batchesMax: 4), from: Offset(from))
      for batch in answer.batches where !filter.hides(batch.header, batch.aborted) { shown += 1 }
      from = answer.nextOffset.rawValue
    }
    #expect(shown == 0)
    #expect(filter.remembered <= 5)
    try log.append(["y"])
    let last = try FetchAnswer(log.answer(from: from, batchesMax: 4), from: Offset(from))
    let isHidden = filter.hides(last.batches[0].header, last.batches[0].aborted)
    #expect(!isHidden)
    #expect(filter == AbortedFilter())
  }
}
