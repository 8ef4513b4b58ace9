import Groundwork
import Testing

@testable import Streaming

@Suite struct StreamTimeTests {
  @Test func durations() {
    #expect(Duration.minutes(2) == .seconds(120))
    #expect(Duration.seconds(6).isMultiple(of: .seconds(2)) && !Duration.seconds(5).isMultiple(of: .seconds(2)))
    #expect(Duration.zero.isMultiple(of: .seconds(1)) && !Duration.seconds(1).isMultiple(of: .zero))
    #expect(!Duration.microseconds(1500).isMultiple(of: .milliseconds(1)))
  }

  @Test func points() {
    let time = Timestamp(milliseconds: 12_345)
    #expect(time - .seconds(2) == 10_345 && time + .seconds(2) == 14_345)
    #expect(time.floor(to: .seconds(5)) == 10_000 && time.floor(to: .milliseconds(5)) == time)
    #expect(Timestamp(milliseconds: -1).floor(to: .seconds(5)) == -5_000)
    #expect(Timestamp(milliseconds: 10_000).isMultiple(of: .seconds(5)) && !time.isMultiple(of: .seconds(5)))
    #expect(Timestamp(milliseconds: 0).until(3_000, every: .seconds(1)) == [0, 1_000, 2_000])
    #expect(Timestamp(milliseconds: 1).until(1, every: .seconds(1)).isEmpty)
  }

  @Test func intervals() {
    let interval = Interval(1_000, 3_000)
    #expect(interval.duration == .seconds(2))
    #expect(interval.contains(1_000) && interval.contains(2_999) && !interval.contains(3_000))
    #expect(interval + .seconds(2) == Interval(3_000, 5_000) && interval - .seconds(1) == Interval(0, 2_000))
    #expect(interval < interval + .seconds(2) && !(interval < interval + .seconds(1)))
    #expect("\(interval)" == "[1970-01-01T00:00:01.000Z, 1970-01-01T00:00:03.000Z)")
  }
}
