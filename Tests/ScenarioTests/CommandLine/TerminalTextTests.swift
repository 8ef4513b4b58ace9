import Groundwork
import Testing

@testable import Sluice

@Suite struct TerminalTextTests {
  func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

  @Test func numbersAreReadable() {
    #expect([0, 999, 1000, 1_234_567, -1_000].map(HumanText.count) == ["0", "999", "1,000", "1,234,567", "-1,000"])
    #expect(
      [0, 999, 1000, 1_550, 99_949, 999_949, 999_950, 12_300_000, .max].map(HumanText.bytes)
        == ["0 B", "999 B", "1.0 kB", "1.6 kB", "99.9 kB", "1000 kB", "1.0 MB", "12.3 MB", "9.2 EB"])
    #expect(
      [0, 0.5, 950, 1000, 12_345, 3_400_000_000].map(HumanText.short) == [
        "0", "0.5", "950", "1.0 k", "12.3 k", "3.4 G",
      ])
    #expect(HumanText.rate(1_500_000, "records", in: .seconds(1)) == "1.5 M records/s")
    #expect(HumanText.rate(5, "records", in: .zero) == "- records/s")
    #expect(
      [
        .microseconds(850), .milliseconds(12.34), .milliseconds(500), .seconds(1.25), .seconds(12.34), .seconds(59.999),
        .seconds(125), .seconds(11_045),
      ].map(HumanText.duration)
        == ["850 µs", "12.3 ms", "500 ms", "1.25 s", "12.3 s", "1m 00s", "2m 05s", "3h 04m"])
    #expect(HumanText.fixed(-0.04, 1) == "0.0")
    #expect(HumanText.fixed(-1.25, 1) == "-1.3")
    #expect(HumanText.fixed(.nan, 1) == "nan")
  }

  @Test func tablesAlign() {
    var table = TextTable([("origin", .left), ("flights", .right), ("note", .left)])
    table.add(["EWR", "9,893", ""])
    table.add(["é", "1"])
    #expect(table.text == "origin  flights  note\nEWR       9,893\né             1\n")
  }

  @Test func aBarRedrawsItselfAtMostTenTimesASecond() {
    var meter = ProgressMeter("produce", style: .bar(columns: 100), totalBytes: 1000, start: at(0))
    #expect(meter.update(records: 1, bytes: 10, now: at(50)) == nil)
    #expect(
      meter.update(records: 100, bytes: 500, now: at(1000))
        == "\rproduce  [###############...............]  50%  100 records  500 B  100 records/s  ETA 0:01\u{1B}[K")
    #expect(meter.update(records: 100, bytes: 500, now: at(1050)) == nil)
    #expect(meter.finish(records: 200, bytes: 1000, now: at(2000)) == "\r\u{1B}[K200 records, 1,000 bytes in 2.00 s\n")
  }

  @Test func aBarNeverWraps() {
    for columns in [1, 20, 40, 60, 80, 200] {
      for total in [nil, 1_000_000] as [Int64?] {
        var meter = ProgressMeter("produce", style: .bar(columns: columns), totalBytes: total, start: at(0))
        let text = meter.update(records: 123_456_789, bytes: 300_000, now: at(1000)) ?? ""
        #expect(text.count - 4 <= max(10, columns - 1), "\(columns) columns")
      }
    }
  }

  @Test func elsewhereItIsALineNowAndThen() {
    var meter = ProgressMeter("produce", style: .lines(every: .seconds(5)), start: at(0))
    #expect(meter.update(records: 10, bytes: 100, now: at(4999)) == nil)
    #expect(
      meter.update(records: 5000, bytes: 2_000_000, now: at(5000))
        == "produce  5,000 records  2.0 MB  1.0 k records/s\n")
    #expect(meter.update(records: 6000, bytes: 2_000_000, now: at(6000)) == nil)
    #expect(meter.finish(records: 1, bytes: 7, now: at(7000)) == "1 record, 7 bytes in 7.00 s\n")
  }
}
