import Sluice

/// Plays a month of flights through a topic and computes delays over a sliding window while they pass.
@main struct FlightDelays: StreamingJob {
  static let summary =
    "Plays real flights into a topic and computes delays per origin and carrier over a sliding window."
  static let options: [OptionSpec] = [
    .value("data", "FILE", "flights as CSV, plain or gzip; else January 2013 from New York City"),
    .value("output", "DIR", "folder for the cleaned flights", default: "flights-out"),
    .value("play", "TIME", "how long the playing takes", default: "20s", format: .duration),
    .value("window", "TIME", "length of the window", default: "5s", format: .duration),
    .value("slide", "TIME", "time between windows", default: "1s", format: .duration),
  ]
  static let defaults = ["sluice.streaming.batchInterval": "500ms"]

  func define(_ context: StreamingContext, _ options: Options) throws {
    let data = try options.string("data").map { try context.textLines(of: $0) } ?? Shipped.flights(context)
    let airlines = try Shipped.airlines(context)
    let length = try options.duration("window")!
    let slide = try options.duration("slide")!
    let output = try options.required("output")

    context.createTopic("flights", partitions: 4)
    context.createTopic("delays", partitions: 1)
    context.play(
      data.dropFirst(), into: "flights", over: try options.duration("play")!, compression: .zstd, thenStop: true)

    let flights = context.topicStream("flights").mapPartitions { records, task in
      records.compactMap { record -> Flight? in
        let flight = Flight(row: record.value)
        if flight == nil { task.count("malformed") }
        return flight
      }
    }.cache()
    flights.saveAsTextFiles("\(output)/flights", suffix: "csv") { flight, line in line.append(flight.text) }

    let byOrigin = flights.map { ($0.origin, Delays($0)) }
    let byCarrier = flights.map { ($0.carrier, Delays($0)) }
    let origins = byOrigin.reduceByKeyAndWindow(window: length, slide: slide) { $0 + $1 }
    let carriers = byCarrier.reduceByKeyAndWindow(window: length, slide: slide) { $0 + $1 }.leftOuterJoin(airlines)
    let rows = origins.transform { window, end in window.map { $1.row("origin", $0, name: nil, windowEnd: end) } }
    let named = carriers.transform { window, end in
      window.map { carrier, found in found.0.row("carrier", carrier, name: found.1, windowEnd: end) }
    }
    rows.union(named).saveToTopic("delays", compression: .lz4) { $0 }

    let totals = Totals()
    byOrigin.reduceByKey { $0 + $1 }.foreachRDD { batch in totals.add(try batch.collect()) }
    context.addStreamingListener(BatchTable(context))
    context.atEnd {
      context.print(totals.table)
      context.print("Cleaned flights: \(output)/flights-*/part-*\nTry next:")
      context.print("  sluice consume \(context.brokerFlags) --topic delays --from-beginning --max-messages 5")
      context.print("  sluice topics describe \(context.brokerFlags) --topic flights")
    }
  }
}
