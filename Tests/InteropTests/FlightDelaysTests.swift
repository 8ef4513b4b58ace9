import Codecs
import Groundwork
import KafkaProtocol
import LinuxSystem
import Streaming
import SystemInterfaces
import Testing

extension InteropTests {
  /// The demo job as a process, with the broker inside; what it wrote is held against what it recorded it had read.
  @Suite struct Flights {
    @Test func aMonthOfFlightsAddsUp() throws {
      let scratch = try Scratch()
      let data = scratch.path + "/broker"
      let job = try run(
        Program.path("FlightDelays"),
        [
          "--play", "5s", "--output", scratch.path + "/out", "--checkpoint", scratch.path + "/checkpoint", "--conf",
          "sluice.broker.data=\(data)",
        ], environment: scratch.environment)
      #expect(job.exit == .code(0), "\(job.report)")
      let rows = job.text.split(separator: "\n").map { $0.split(separator: " ").prefix(3).joined(separator: " ") }
      for total in ["all 27004 521", "EWR 9893 238", "JFK 9161 100", "LGA 7950 183"] {
        #expect(rows.contains(total), "no `\(total)` in \(job.text.suffix(600))")
      }
      #expect(try Scratch.lines(under: scratch.path + "/out").count == 27_004)
      #expect(try Disk.codecs(data, "delays") == [.lz4])
      #expect(try Disk.codecs(data, "flights", partitions: 4) == [.zstd])
      try Self.checkWindows(data, checkpoint: scratch.path + "/checkpoint")
    }

    @Test func aMalformedRowIsCountedAndPassedOver() throws {
      let scratch = try Scratch()
      let good = "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z"
      let cancelled = "2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,N18120,JFK,RDU,NA,416,16,30,2013-01-01T21:00:00Z"
      var lines = ["year,month,day,and,so,on"]
      for number in 0..<200 {
        switch number {
        case 50: lines.append("not,a,flight")
        case 100: lines.append(good.replacing("515,2,830", with: "515,late,830"))
        case 150: lines.append("2013,1,1")
        default: lines.append(number % 10 == 0 ? cancelled : good)
        }
      }
      let file = try scratch.write("flights.csv", Bytes(lines.joined(separator: "\n") + "\n"))
      let job = try run(
        Program.path("FlightDelays"),
        [
          "--data", file, "--play", "1s", "--output", scratch.path + "/out", "--conf",
          "sluice.broker.data=\(scratch.path)/broker",
        ], environment: scratch.environment)
      #expect(job.exit == .code(0), "\(job.report)")
      let malformed = job.text.matches(of: #/malformed: (\d+)/#).compactMap { Int($0.1) }.reduce(0, +)
      #expect(malformed == 3, "\(job.report)")
      let rows = job.text.split(separator: "\n").map { $0.split(separator: " ").prefix(3).joined(separator: " ") }
      // Every tenth is cancelled, but numbers 50, 100 and 150 are the malformed ones.
      #expect(rows.contains("all 197 17"), "\(job.report)")
      #expect(rows.contains("EWR 180 0"), "\(job.report)")
      #expect(rows.contains("JFK 17 17"), "\(job.report)")
      #expect(try Scratch.lines(under: scratch.path + "/out").count == 197)
    }

    // MARK: The windows again

    private struct RowKey: Hashable, CustomStringConvertible {
      var windowEnd: Int64
      var kind: String
      var name: String
      var description: String { "window \(windowEnd), \(kind) \(name)" }
    }

    private struct Sums: Equatable {
      var flights = 0
      var cancelled = 0
      var delay = 0
      /// Two decimals, rounded half away from zero, in integers.
      var mean: String {
        let left = flights - cancelled
        if left == 0 { return "null" }
        let hundredths = (abs(delay) * 200 + left) / (2 * left)
        let sign = delay < 0 && hundredths > 0 ? "-" : ""
        return "\(sign)\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
      }
      var text: String { "\(flights) \(cancelled) \(mean)" }
    }

    /// Every row of the topic `delays` equals a sum over the flights in the recorded offset ranges of its window's
    /// batches, and no row is missing.
    private static func checkWindows(_ data: String, checkpoint: String) throws {
      let (length, slide): (Int64, Int64) = (5000, 1000)
      let batches = try BatchJournal.records(in: checkpoint + "/commits", Scratch.files)
      #expect(batches.count > 5)
      var flights: [TopicPartition: [Int64: Bytes]] = [:]
      for partition in 0..<4 {
        for (offset, record) in try Disk.records(data, "flights", partition) {
          flights[TopicPartition("flights", PartitionIndex(Int32(partition))), default: [:]][offset.rawValue] =
            record.value
        }
      }
      // The ranges tile what was played.
      var next: [TopicPartition: Offset] = [:]
      for range in batches.flatMap(\.ranges) {
        #expect(range.from == next[range.topicPartition] ?? 0, "\(range) does not follow")
        next[range.topicPartition] = range.until
      }
      #expect(next.values.reduce(0) { $0 + $1.rawValue } == 27_004)

      var expected: [RowKey: Sums] = [:]
      for (previous, batch) in zip([nil] + batches.map(Optional.some), batches) {
        let time = batch.batch.time.milliseconds
        let end = time / slide * slide
        guard previous.map({ end > $0.batch.time.milliseconds }) ?? (end == time) else { continue }
        for inside in batches where (end - length + 1...end).contains(inside.batch.time.milliseconds) {
          for range in inside.ranges {
            for offset in range.from.rawValue..<range.until.rawValue {
              guard let row = flights[range.topicPartition]?[offset] else {
                throw SetupFailure("\(range) names offset \(offset), which the topic does not have")
              }
              let columns = String(row).split(separator: ",", omittingEmptySubsequences: false)
              for (kind, name) in [("origin", columns[12]), ("carrier", columns[9])] {
                let isCancelled = columns[3] == "NA"
                var sums = expected[RowKey(windowEnd: end, kind: kind, name: String(name))] ?? Sums()
                sums.flights += 1
                sums.cancelled += isCancelled ? 1 : 0
                sums.delay += isCancelled ? 0 : Int(columns[5])!
                expected[RowKey(windowEnd: end, kind: kind, name: String(name))] = sums
              }
            }
          }
        }
      }

      var found: [RowKey: String] = [:]
      var wrong: [String] = []
      var names: Set<String> = []
      let form =
        #/\{"window_end":(\d+),"(origin|carrier)":"(\w+)"(,"name":"([^"]+)")?,"flights":(\d+),"cancelled":(\d+),"mean_departure_delay":([-.0-9]+|null)\}/#
      for (_, record) in try Disk.records(data, "delays") {
        let text = String(record.value ?? "")
        guard let match = text.wholeMatch(of: form) else {
          wrong.append("unexpected form: \(text)")
          continue
        }
        let key = RowKey(windowEnd: Int64(match.1)!, kind: String(match.2), name: String(match.3))
        if record.key != Bytes(match.3) { wrong.append("\(key): the record's key is \(record.key ?? "null")") }
        if found[key] != nil { wrong.append("\(key): there twice") }
        if let name = match.5 { names.insert("\(match.3)=\(name)") }
        found[key] = "\(match.6) \(match.7) \(match.8)"
      }
      for (key, sums) in expected where found[key] != sums.text {
        wrong.append("\(key): \(found[key] ?? "missing"), should be \(sums.text)")
      }
      for key in found.keys where expected[key] == nil { wrong.append("\(key): nothing is due") }
      #expect(wrong.isEmpty, "\(wrong.count) of \(expected.count) rows, such as \(wrong.sorted().prefix(5))")
      #expect(Set(expected.keys.map(\.windowEnd)).count >= 4, "windows")
      #expect(names.contains("UA=United Air Lines Inc."), "\(names.sorted().prefix(3))")
      print("\(expected.count) window rows recomputed from \(batches.count) batches")
    }
  }
}
