import Sluice

/// What the job keeps of a row: columns dep_time, dep_delay, carrier, flight, origin, dest and time_hour of the CSV.
struct Flight: Sendable {
  var carrier, number, origin, destination, hour: Bytes
  /// Minutes; nil for a cancelled flight, which has no departure time.
  var departureDelay: Int?

  /// nil where the row is malformed: another number of columns, or a delay that is neither a number nor NA.
  init?(row: Bytes) {
    var columns: [Bytes] = []
    columns.reserveCapacity(19)
    for column in row.split(separator: ",", omittingEmptySubsequences: false) { columns.append(column) }
    guard columns.count == 19, columns[9].count == 2, columns[12].count == 3 else { return nil }
    let isCancelled = columns[3] == "NA"
    guard let delay = isCancelled ? 0 : Int(columns[5]) else { return nil }
    (carrier, number, origin, destination, hour) = (columns[9], columns[10], columns[12], columns[13], columns[18])
    departureDelay = isCancelled ? nil : delay
  }

  var text: String {
    "\(hour),\(carrier),\(number),\(origin),\(destination),\(departureDelay.map(String.init) ?? "cancelled")"
  }
}

/// Flights of one origin or carrier, added up.
struct Delays: Sendable, Equatable {
  var flights = 0
  var cancelled = 0
  var delay = 0

  init(_ flight: Flight) {
    flights = 1
    cancelled = flight.departureDelay == nil ? 1 : 0
    delay = flight.departureDelay ?? 0
  }

  init(flights: Int, cancelled: Int, delay: Int) {
    (self.flights, self.cancelled, self.delay) = (flights, cancelled, delay)
  }

  static func + (a: Delays, b: Delays) -> Delays {
    Delays(flights: a.flights + b.flights, cancelled: a.cancelled + b.cancelled, delay: a.delay + b.delay)
  }

  /// Mean departure delay of the flights that left, in minutes with two decimals.
  var mean: String {
    let left = flights - cancelled
    guard left > 0 else { return "null" }
    let hundredths = Int((Double(delay) * 100 / Double(left)).rounded())
    let digits = String(abs(hundredths) % 100)
    return "\(hundredths < 0 ? "-" : "")\(abs(hundredths) / 100).\(digits.count < 2 ? "0" : "")\(digits)"
  }

  /// One line of JSON for the topic, keyed by what it is about.
  func row(_ kind: String, _ key: Bytes, name: String?, windowEnd: Timestamp) -> ProducerRecord {
    let named = name.map { ",\"name\":\"\($0)\"" } ?? ""
    return ProducerRecord(
      key: key,
      value: """
        {"window_end":\(windowEnd.milliseconds),"\(kind)":"\(key)"\(named),"flights":\(flights),\
        "cancelled":\(cancelled),"mean_departure_delay":\(mean)}
        """)
  }
}
