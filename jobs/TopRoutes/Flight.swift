import Sluice

/// What the job keeps of a row: columns origin, dest, minute and time_hour of the CSV.
struct Flight: Sendable {
  /// `JFK-LAX`.
  var route: Bytes
  /// The scheduled departure.
  var scheduled: Timestamp

  /// nil where the row is malformed.
  init?(row: Bytes) {
    let columns = Array(row.split(separator: ",", omittingEmptySubsequences: false))
    guard columns.count == 19, columns[12].count == 3, columns[13].count == 3, let minute = Int64(columns[17]),
      let hour = Flight.hour(columns[18])
    else { return nil }
    route = Bytes("\(columns[12])-\(columns[13])")
    scheduled = Timestamp(milliseconds: (hour * 60 + minute) * 60_000)
  }

  /// Hours since 1970 of a text such as `2013-01-01T10:00:00Z`.
  private static func hour(_ text: Bytes) -> Int64? {
    guard text.count == 20, let year = Int64(text[0..<4]), let month = Int64(text[5..<7]),
      let day = Int64(text[8..<10]), let hour = Int64(text[11..<13]), (1...12).contains(month)
    else { return nil }
    // Years that begin in March have the leap day at their end.
    let (years, months) = month > 2 ? (year, month - 3) : (year - 1, month + 9)
    let leapDays = years / 4 - years / 100 + years / 400
    let days = 365 * years + leapDays + (153 * months + 2) / 5 + day - 1 - 719_468
    return days * 24 + hour
  }
}

/// A route with its flights in a window.
struct RouteCount: Sendable {
  var route: Bytes
  var flights: Int
}

/// The flights of all routes in one window.
struct Tally: StreamCodable {
  var flights: [Bytes: Int] = [:]

  /// The most flown first; among equals by name.
  func top(_ count: Int) -> [RouteCount] {
    let sorted = flights.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    return sorted.prefix(count).map { RouteCount(route: $0.key, flights: $0.value) }
  }

  /// In the order of names: equal tallies are equal bytes.
  func encode(to writer: inout ByteWriter) {
    flights.sorted { $0.key < $1.key }.map { StreamPair($0.key, $0.value) }.encode(to: &writer)
  }

  static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Tally {
    var tally = Tally()
    for pair in try [StreamPair<Bytes, Int>].decode(from: &reader) { tally.flights[pair.first] = pair.second }
    return tally
  }
}
