import Sluice

/// The job that the tests of kills kill: totals in both kinds of state, and windows of event time, over two topics whose
/// values are the numbers 0, 1, 2 …, or `end`, which is later than all of them. With `--window`, sums over windows of batch
/// time instead, of one topic.
@main struct KilledTotals: StreamingJob {
  static let summary = "Adds numbers up, by their rest of 13 and by windows of their time."

  static let options: [OptionSpec] = [
    .value("window", "DURATION", "sums of the numbers over the last so long, five times a second", format: .duration)
  ]

  func define(_ context: StreamingContext, _ options: Options) throws {
    if let window = try options.duration("window") { return KilledTotals.defineSums(context, window) }
    let numbers = context.topicStream(["left", "right"]).map { Int($0.value) }
    let totals = numbers.map { number in
      (KilledTotals.key(number), Total(count: 1, sum: number ?? 0))
    }.reduceByKey { $0 + $1 }

    let spec = StateSpec.function { (key: Bytes, new: Total?, state: State<Total>) -> (Bytes, Total) in
      let total = (state.get() ?? Total()) + (new ?? Total())
      state.update(total)
      return (key, total)
    }
    KilledTotals.save(totals.mapWithState(spec).named("mapped"), "mapped")
    let updated = totals.updateStateByKey { (new: [Total], total: Total?) in new.reduce(total ?? Total(), +) }
    KilledTotals.save(updated.named("updated"), "updated")

    let timed = numbers.withEventTime({ KilledTotals.time($0) }, delay: .milliseconds(50))
    let windows = timed.map { (KilledTotals.key($0), 1) }.eventTimeWindow(.tumbling(.milliseconds(500))).count()
    windows.named("windows").results.saveToTopic("windows") { window, count in
      ProducerRecord(key: Bytes("\(window.key) \(window.start.milliseconds)"), value: "\(count)")
    }
    windows.lateRecords.saveToTopic("late") { ProducerRecord(key: $0.1.0, value: "\($0.0)") }
  }

  /// The same sums with and without an inverse.
  private static func defineSums(_ context: StreamingContext, _ window: Duration) {
    let numbers = context.topicStream("left").map { (key(Int($0.value)), Int($0.value) ?? 0) }
    let slide = Duration.milliseconds(200)
    let panes = numbers.reduceByKeyAndWindow(window: window, slide: slide) { $0 + $1 }.named("panes")
    let running = numbers.reduceByKeyAndWindow(window: window, slide: slide, inverse: { $0 - $1 }) { $0 + $1 }
    for (topic, sums) in [("panes", panes), ("running", running.named("running"))] {
      let rows = sums.transform { batch, time in
        batch.map { ProducerRecord(key: Bytes("\($0.0) \(time.milliseconds)"), value: "\($0.1)") }
      }
      rows.saveToTopic(topic) { $0 }
    }
  }

  static func key(_ number: Int?) -> Bytes { number.map { Bytes("k\($0 % 13)") } ?? "end" }

  /// Up to 49 ms out of order.
  static func time(_ number: Int?) -> Timestamp {
    Timestamp(milliseconds: number.map { Int64($0 + $0 * 7919 % 50) } ?? 1_000_000_000_000)
  }

  /// Key and batch time, with count and sum: a batch that is repeated repeats its records.
  private static func save(_ totals: DStream<(Bytes, Total)>, _ topic: String) {
    let rows = totals.transform { batch, time in
      batch.map { ProducerRecord(key: Bytes("\($0.0) \(time.milliseconds)"), value: "\($0.1.count) \($0.1.sum)") }
    }
    rows.saveToTopic(topic) { $0 }
  }
}

/// How many numbers, and what they come to.
struct Total: StreamCodable, Equatable {
  var count = 0
  var sum = 0

  static func + (a: Total, b: Total) -> Total { Total(count: a.count + b.count, sum: a.sum + b.sum) }

  func encode(to writer: inout ByteWriter) {
    count.encode(to: &writer)
    sum.encode(to: &writer)
  }

  static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Total {
    Total(count: try Int.decode(from: &reader), sum: try Int.decode(from: &reader))
  }
}
