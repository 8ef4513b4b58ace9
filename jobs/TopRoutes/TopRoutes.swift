import Sluice

/// Plays a month of flights through a topic and ranks the routes of each day by scheduled departure.
@main struct TopRoutes: StreamingJob {
  static let summary = "Plays real flights into a topic and ranks the most flown routes of each window of event time."
  static let options: [OptionSpec] = [
    .value("data", "FILE", "flights as CSV, plain or gzip; else January 2013 from New York City"),
    .value("play", "TIME", "how long the playing takes", default: "10s", format: .duration),
    .value("window", "TIME", "length of the window, by scheduled departure (UTC)", default: "24h", format: .duration),
    .value("slide", "TIME", "time between windows", default: "24h", format: .duration),
    .value("top", "COUNT", "routes in a window's ranking", default: "10", format: .integer(1...1000)),
  ]
  static let defaults = [
    "sluice.streaming.batchInterval": "500ms",
    // Each run plays the month anew. With the state of the run before, all of its flights would come too late.
    "sluice.streaming.checkpoint": "none",
  ]

  func define(_ context: StreamingContext, _ options: Options) throws {
    let data =
      try options.string("data").map { try context.textLines(of: $0) }
      ?? context.textLines(of: "../FlightDelays/data/flights-2013-01.csv.gz", beside: #filePath)
    let length = try options.duration("window")!
    let slide = try options.duration("slide")!
    let top = try options.int("top")!

    context.createTopic("departures", partitions: 4)
    context.play(data.dropFirst(), into: "departures", over: try options.duration("play")!, thenStop: true)

    let flights = context.topicStream("departures").mapPartitions { records, task in
      records.compactMap { record -> Flight? in
        let flight = Flight(row: record.value)
        if flight == nil { task.count("malformed") }
        return flight
      }
    }
    // The rows stand in the order in which planes left, cancelled flights last, day by day: none is a day late.
    let routes = flights.withEventTime({ $0.scheduled }, delay: .seconds(86_400)).map { ($0.route, 1) }
    // Early: a window's counts come with each batch that changes them, so the last days have theirs when the job ends.
    let windows = routes.eventTimeWindow(.sliding(length, every: slide), earlyUpdates: true)
    let counts = windows.count().named("route counts").results.map { window, flights in
      (window.start.milliseconds, RouteCount(route: window.key, flights: flights))
    }
    // A batch brings the counts that changed; the ranking needs them all. A window without changes is given up in time.
    let spec = StateSpec.function { (start: Int64, changes: [RouteCount]?, state: State<Tally>) -> Ranking in
      var tally = state.get() ?? Tally()
      for count in changes ?? [] { tally.flights[count.route.copied] = count.flights }
      if !state.isTimingOut { state.update(tally) }
      return Ranking(start: start, flights: tally.flights.values.reduce(0, +), top: tally.top(top))
    }
    let rankings = counts.groupByKey().mapWithState(spec.timeout(.seconds(3600))).named("rankings")
    rankings.saveToTopic("top-routes") { $0.record(length) }

    let latest = LatestRankings()
    rankings.foreachRDD { batch in latest.add(try batch.collect()) }
    context.addStreamingListener(BatchTable(context))
    context.atEnd {
      context.print(latest.table)
      context.print("Try next:\n  sluice consume \(context.brokerFlags) --topic top-routes --from-beginning")
    }
  }
}
