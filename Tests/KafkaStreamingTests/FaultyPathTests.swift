import Testing

/// The whole path under faults, seed by seed.
@Suite struct FaultyPathTests {
  /// In parts, so that the machine's cores share them.
  @Test(arguments: 0..<4) func everySeedHolds(part: Int) throws {
    let count = SeedRuns.count(1000)
    let sum = try SeedRuns.hold(SeedRuns.seeds(count, part: part)) { try FaultyPath(seed: $0) }
    // The faults did what they are for: batches were repeated, runs ended, connections broke.
    if count >= 60 {
      #expect(sum.copies > sum.records && sum.records > count)
      #expect(sum.runs > count / 4 && sum.cuts > count / 4)
    }
  }

  /// 335, 7742: a request for a producer id, given up with its connection, arrives behind the one that was sent anew
  /// and behind a commit whose answer was lost: the run ends, since it cannot ask any more whether it has committed.
  /// 692, 6558: the offsets that a killed process had committed at its start came behind a transaction of its
  /// successor, and took back which batch was decided last. 3283: the commit log could not be written, and the run
  /// ended with the words of a batch. 5244: an abort whose answer was lost was never asked for again, behind a pause
  /// that nobody waited for any more.
  @Test func formerlyFailingSeedsHold() throws {
    try SeedRuns.hold([335, 692, 3283, 5244, 6558, 7742]) { try FaultyPath(seed: $0) }
  }

  @Test func aSeedRepeats() throws { try SeedRuns.expectRepeats { try FaultyPath(seed: 4) } }
}
