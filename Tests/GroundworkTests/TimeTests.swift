import Groundwork
import Testing

@Suite struct TimeTests {
  @Test func durationsAreReadAsInSettings() {
    for (text, expected) in [
      ("250us", .microseconds(250)), ("500ms", .milliseconds(500)), ("500", .milliseconds(500)), ("2s", .seconds(2)),
      ("5m", .seconds(300)), ("5min", .seconds(300)), ("1h", .seconds(3600)), ("7d", .seconds(604_800)),
      ("0", .zero), ("2S", .seconds(2)), ("100000us", .milliseconds(100)),
    ] as [(String, Duration)] {
      #expect(Duration(text: text) == expected, "\(text)")
    }
    for text in [
      "", "s", "-5s", "+5s", "5 s", " 5s", "5.5s", "5x", "5ss", "999999999999999999999", "40000d", "\u{663}s",
    ] {
      #expect(Duration(text: text) == nil, "\(text)")
    }
  }

  @Test func durationTextComesBack() {
    var random = SeededRandom(seed: 2)
    var failures: [String] = []
    for unit in [1, 1000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000] as [Int64] {
      for _ in 0..<300 {
        let duration = Duration.microseconds(unit * Int64.random(in: 0...3000, using: &random))
        if Duration(text: duration.text) != duration { failures.append(duration.text) }
      }
    }
    #expect(failures == [])
    #expect(Duration.seconds(90).text == "90s")
    #expect(Duration.seconds(120).text == "2m")
    #expect(Duration.milliseconds(1500).text == "1500ms")
    #expect(Duration.microseconds(1500).text == "1500us")
    #expect(Duration.zero.text == "0ms")
  }

  @Test func durationsConvert() {
    #expect(Duration.milliseconds(-1500).inMilliseconds == -1500)
    #expect(Duration.microseconds(-1500).inMilliseconds == -1)
    #expect(Duration.milliseconds(-1500).inNanoseconds == -1_500_000_000)
    #expect(Duration.seconds(Int64.max).inNanoseconds == .max)
    #expect(Duration.seconds(Int64.min).inNanoseconds == .min)
    #expect(Duration.milliseconds(2500).inSeconds == 2.5)
    #expect(Instant(nanoseconds: 5) + .microseconds(1) == Instant(nanoseconds: 1005))
    #expect(Instant(nanoseconds: 1005) - Instant(nanoseconds: 5) == .microseconds(1))
    #expect(Timestamp(milliseconds: 5) + .seconds(1) == 1005)
    #expect((1005 as Timestamp) - 5 == .seconds(1))
  }

  @Test func timestampsAreISO8601() {
    for (milliseconds, text) in [
      (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
      (1_357_034_400_000, "2013-01-01T10:00:00.000Z"),
      (951_782_399_999, "2000-02-28T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
      (951_868_800_000, "2000-03-01T00:00:00.000Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
      (1_700_000_000_123, "2023-11-14T22:13:20.123Z"), (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
      (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ] as [(Int64, String)] {
      #expect(Timestamp(milliseconds: milliseconds).description == text)
    }
  }

  /// SplitMix64's published first values for seed 1234567, and for 0.
  @Test func randomNumbersAreFixed() {
    var random = SeededRandom(seed: 1_234_567)
    let first = (0..<5).map { _ in random.next() }
    #expect(
      first == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423, 4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
      ])
    var zero = SeededRandom(seed: 0)
    #expect(zero.next() == 0xE220_A839_7B1D_CDAF)
  }
}
