import Sluice
import Synchronization

/// All flights of the run by origin; batches add to it on the driver.
final class Totals: Sendable {
  private let sums = Mutex<[Bytes: Delays]>([:])

  func add(_ batch: [(Bytes, Delays)]) {
    sums.withLock { sums in
      for (origin, delays) in batch { sums[origin] = sums[origin].map { $0 + delays } ?? delays }
    }
  }

  /// A row an origin, and one for all.
  var table: String {
    let sums = sums.withLock { $0 }
    let all = sums.values.reduce(Delays(flights: 0, cancelled: 0, delay: 0)) { $0 + $1 }
    var table = TextTable([
      ("origin", .left), ("flights", .right), ("cancelled", .right), ("mean departure delay", .right),
    ])
    for (name, delays) in sums.sorted(by: { $0.key < $1.key }).map({ ("\($0.key)", $0.value) }) + [("all", all)] {
      table.add([name, "\(delays.flights)", "\(delays.cancelled)", delays.mean])
    }
    return table.text
  }
}

/// The data that comes with the job.
enum Shipped {
  static func flights(_ context: StreamingContext) throws -> [Bytes] {
    try context.textLines(of: "data/flights-2013-01.csv.gz", beside: #filePath)
  }

  /// Airline names by carrier code.
  static func airlines(_ context: StreamingContext) throws -> [Bytes: String] {
    var names: [Bytes: String] = [:]
    for line in try context.textLines(of: "data/airlines.csv", beside: #filePath).dropFirst() {
      let columns = Array(line.split(separator: ","))
      if columns.count == 2 { names[columns[0]] = String(columns[1]) }
    }
    return names
  }
}
