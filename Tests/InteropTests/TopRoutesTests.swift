import Codecs
import Groundwork
import KafkaProtocol
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// The job of rankings as a process, with the broker inside; held against counts of the same CSV.
  @Suite struct Routes {
    private struct Window {
      var flights = 0
      var routes: [String: Int] = [:]
    }

    /// Flights by route in each window, by the text of its beginning: days are counted by the text of `time_hour`, so
    /// windows of days are all this knows.
    private static func days() throws -> [String: Window] {
      let folder = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/jobs/FlightDelays/data"
      let packed = try Scratch.files.contents(of: folder + "/flights-2013-01.csv.gz")
      var days: [String: Window] = [:]
      for line in String(try GzipReader.contents(of: packed, limit: 1 << 26)).split(separator: "\n").dropFirst() {
        let columns = line.split(separator: ",", omittingEmptySubsequences: false)
        let day = "\(columns[18].prefix(10))T00:00:00.000Z"
        days[day, default: Window()].flights += 1
        days[day, default: Window()].routes["\(columns[12])-\(columns[13])", default: 0] += 1
      }
      return days
    }

    @Test func rankingsAreThoseOfTheFlightsThemselves() throws {
      let days = try Self.days()
      #expect(days.values.reduce(0) { $0 + $1.flights } == 27_004)
      let scratch = try Scratch()
      let data = scratch.path + "/broker"
      let before = Set(try Scratch.files.list("/tmp"))
      // Each run plays the month anew, though the topic and the consumer group are those of the run before.
      for _ in 1...2 { try Self.check(days, data, scratch) }
      let left = Set(try Scratch.files.list("/tmp")).subtracting(before).filter { $0.contains("top-routes") }
      #expect(left.isEmpty, "\(left)")
      #expect(try !Scratch.files.list(scratch.path).contains("checkpoints"))
    }

    private static func check(_ days: [String: Window], _ data: String, _ scratch: Scratch) throws {
      let job = try run(
        Program.path("TopRoutes"),
        ["--play", "2s", "--batch-interval", "200ms", "--conf", "sluice.broker.data=\(data)"],
        environment: scratch.environment)
      #expect(job.exit == .code(0), "\(job.report)")
      #expect(!job.text.contains("late "), "\(job.report)")

      // The last record of a window stands.
      var written: [String: String] = [:]
      var updates = 0
      for (_, record) in try Disk.records(data, "top-routes") {
        written[String(record.key ?? "")] = String(record.value ?? "")
        updates += 1
      }
      #expect(updates > written.count)
      #expect(written.keys.sorted() == days.keys.sorted())
      var wrong: [String] = []
      let rows = job.text.split(separator: "\n").map { $0.split(separator: " ") }
      for (day, window) in days {
        let sorted = window.routes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let top = sorted.prefix(10).map { "{\"route\":\"\($0.key)\",\"flights\":\($0.value)}" }.joined(separator: ",")
        let text = written[day] ?? "nothing"
        if !text.hasSuffix(",\"flights\":\(window.flights),\"top\":[\(top)]}") { wrong.append("\(day): \(text)") }
        let row = ["\(day)", "\(window.flights)"] + sorted.prefix(3).flatMap { ["\($0.key)", "\($0.value)"] }
        if !rows.contains(row.map { Substring($0) }) { wrong.append("no row \(row)") }
      }
      #expect(wrong.isEmpty, "\(wrong.count) of \(days.count) windows, such as \(wrong.sorted().prefix(3))")
      // 1970 begins a day, and 2013-01-01 is day 15,706.
      let first = written["2013-01-01T00:00:00.000Z"] ?? ""
      #expect(first.contains("\"window_start\":1356998400000,\"window_end\":1357084800000,"), "\(first)")
    }
  }
}
