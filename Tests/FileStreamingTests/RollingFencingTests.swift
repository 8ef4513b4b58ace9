import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import FileStreaming

/// Two writers of one folder.
@Suite struct RollingFencingTests {
  @Test func aSecondWriterStopsAndNamesTheFirst() throws {
    let first = FolderRig(seed: 1, isDeciding: true)
    first.job = "archive"
    try first.start()
    let second = FolderRig(seed: 1, isDeciding: true, simulation: first.simulation)
    second.job = "archive"
    let error = #expect(throws: FileStreamingError.self) { try second.start() }
    #expect(
      error.map { "\($0)" }
        == "/out is being written by job archive (writer epoch 1): stop it, or write to another folder")
    // It has changed nothing for the first one.
    try first.run(1, [.init(partition: 0, directory: "", text: "one")])
    first.sink.end()
    // Another job does not go on with this one's history.
    second.restart()
    second.job = "other"
    let other = #expect(throws: FileStreamingError.self) { try second.start() }
    #expect(other == .folderOfAnotherJob("/out", job: "archive"))
    second.restart()
    second.job = "archive"
    #expect(try second.start() == 1)
  }

  /// A writer pauses before each of its calls in turn; meanwhile somebody removes the lock, a successor takes over and
  /// writes; then the first one wakes and goes on until it is refused.
  @Test(arguments: [true, false]) func whoWakesAfterItsSuccessorWritesNothingThatCounts(isDeciding: Bool) throws {
    var problems: [String] = []
    var target = 1
    var pauses = 0
    let model = FolderModel(seed: 11, batches: 5)
    while true {
      let first = FolderRig(seed: UInt64(target), isDeciding: isDeciding)
      let second = FolderRig(seed: UInt64(target), isDeciding: isDeciding, simulation: first.simulation)
      try first.start()
      let origin = first.files.count
      var hasPaused = false
      var known: Int64 = 0
      first.files.hook = { number, _, _, _ throws(FileError) in
        guard number == origin + target, !hasPaused else { return }
        hasPaused = true
        do {
          let cleaner = first.reader()
          try cleaner.removeFile("/out/_sluice/lock")
          second.setDecided(first.decided)
          known = try second.start()
          let found = try second.committed()
          if found != model.text(through: known) { problems.append("call \(target): taken over with \(found)") }
          for number in known + 1...known + 2 { try second.run(number, [Self.line(number)]) }
        } catch {
          problems.append("call \(target): the successor failed: \(error)")
        }
      }
      var refusals = 0
      for number in Int64(1)...5 where !hasPaused || refusals == 0 {
        do {
          try first.run(number, model.batches[Int(number - 1)])
          // Only what it had done before the takeover may have succeeded.
          if hasPaused, number > known, !model.batches[Int(number - 1)].isEmpty {
            problems.append("call \(target): batch \(number) was confirmed although the successor begins at \(known)")
          }
        } catch {
          refusals += 1
          if !hasPaused { problems.append("call \(target): batch \(number) failed: \(error)") }
        }
      }
      guard hasPaused else { break }
      pauses += 1
      first.sink.end()
      try second.run(known + 3, [Self.line(known + 3)])
      second.sink.end()
      var expected = model.text(through: known)
      for number in known + 1...known + 3 { expected["a", default: ""] += Self.line(number).text + "\n" }
      let seen = try second.visible()
      if seen != expected { problems.append("call \(target): a reader sees \(seen), not \(expected)") }
      problems += try second.report().verify().problems.map { "call \(target): \($0)" }
      target += 1
    }
    #expect(problems.isEmpty, "\(problems.count) in \(pauses): \(problems.prefix(4).joined(separator: "\n"))")
    #expect(pauses > 20)
  }

  private static func line(_ number: Int64) -> FolderRig.Line {
    .init(partition: 0, directory: "a", text: "by the successor \(number)")
  }

  /// A follower's folder that has more than the job knows of is another history.
  @Test func aFolderAheadOfTheJobIsRefused() throws {
    let rig = FolderRig(seed: 2, isDeciding: false)
    try rig.start()
    try rig.run(1, [.init(partition: 0, directory: "", text: "one")])
    try rig.run(2, [.init(partition: 0, directory: "", text: "two")])
    rig.process.kill()
    rig.restart()
    rig.setDecided(1)
    let error = #expect(throws: FileStreamingError.self) { try rig.start() }
    #expect(error == .folderAhead("/out", committed: 2, decided: 1))
  }
}
