import Testing

@testable import SluiceCommand

/// What `sluice verify` says of two runs' outputs: it must be able to say that something is wrong.
@Suite struct VerifyComparisonTests {
  private func records(_ lines: String...) -> [VerifyRecord] { lines.map { VerifyRecord(line: $0) } }

  @Test func equalOutputsAreCleanInAnyOrder() {
    let expected = records("a\t1", "a\t1", "b\t2")
    let comparison = VerifyComparison(.records, expected: expected, found: expected.reversed())
    #expect(comparison.lost == 0 && comparison.doubled == 0 && comparison.examples.isEmpty)
    #expect(comparison.expected == 3 && comparison.found == 3)
  }

  @Test func recordsThatAreMissingOrTooManyAreCounted() {
    let comparison = VerifyComparison(
      .records, expected: records("a\t1", "a\t1", "b\t2", "no tab"), found: records("a\t1", "b\t2", "b\t2", "b\t2", "c")
    )
    #expect(comparison.lost == 2, "one a, and the line without a tab")
    #expect(comparison.doubled == 3, "two b, and c, which nobody wrote")
    #expect(comparison.examples.contains("b\t2: 3 instead of 1"))
    #expect(comparison.examples.contains("\tc: 1 instead of nothing"))
  }

  /// A doubled record does not make up for a lost one.
  @Test func oneLostAndOneDoubledAreBothSeen() {
    let comparison = VerifyComparison(.records, expected: records("a", "b"), found: records("a", "a"))
    #expect(comparison.lost == 1 && comparison.doubled == 1)
  }

  @Test func sumsAreComparedByKey() {
    let expected = records("a\t1", "a\t2", "b\t5")
    let same = VerifyComparison(.sums, expected: expected, found: records("a\t3", "b\t4", "b\t1"))
    #expect(same.lost == 0 && same.doubled == 0)
    let other = VerifyComparison(.sums, expected: expected, found: records("a\t3", "a\t3", "b\t3", "c\t0"))
    #expect(other.doubled == 4, "3 of a, and c")
    #expect(other.lost == 2, "2 of b")
    let gone = VerifyComparison(.sums, expected: records("a\t0"), found: [])
    #expect(gone.lost == 1, "a key is there or not, whatever its numbers come to")
  }

  /// Values that cannot be added up are not taken for nothing.
  @Test func sumsOfWhatIsNoNumber() {
    let comparison = VerifyComparison(.sums, expected: records("a\t1.5", "a\t1.5"), found: records("a\t1.5"))
    #expect(comparison.lost == 1)
  }

  @Test func theLastOfEachKeyCounts() {
    let expected = records("a\t1", "a\t2", "b\t5")
    let same = VerifyComparison(.last, expected: expected, found: records("b\t3", "a\t2", "b\t5"))
    #expect(same.lost == 0 && same.doubled == 0)
    let wrong = VerifyComparison(.last, expected: expected, found: records("a\t2", "a\t1", "b\t5"))
    #expect(wrong.lost == 1 && wrong.doubled == 1, "\(wrong)")
    let missing = VerifyComparison(.last, expected: expected, found: records("a\t2"))
    #expect(missing.lost == 1 && missing.doubled == 0)
  }

  @Test func victimsAndPausesFollowTheSeed() {
    func moments(_ seed: UInt64, broker: Bool) -> [VerifyMoments.Moment] {
      var moments = VerifyMoments(seed: seed, mean: .milliseconds(200), killsBroker: broker)
      return (0..<400).map { _ in moments.next() }
    }
    let some = moments(7, broker: true)
    #expect(some == moments(7, broker: true))
    #expect(some.map(\.pause) != moments(8, broker: true).map(\.pause))
    #expect(some.allSatisfy { $0.pause >= .zero && $0.pause <= .milliseconds(400) })
    #expect(some.count { $0.pause < .milliseconds(60) } > 30 && some.count { $0.pause > .milliseconds(340) } > 30)
    #expect(some.count { $0.victim != .job } == 100)
    #expect(some.count { $0.waitsForWork } == 267)
    #expect(some.contains { $0.victim == .both } && some.contains { $0.victim == .broker })
    #expect(moments(7, broker: false).allSatisfy { $0.victim == .job })
  }
}
