import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import FileStreaming

/// What `sluice files verify` says of each kind of damage.
@Suite struct VerifyTests {
  private static func folder() throws -> FolderRig {
    let rig = FolderRig(seed: 1, isDeciding: true, rolling: RollingPolicy(size: 60, age: .seconds(1000)))
    rig.limits = FolderManifest.Limits()
    try rig.start()
    for number in Int64(1)...6 {
      try rig.run(
        number,
        [
          .init(partition: 0, directory: "a", text: "batch \(number), it has 24 byte"),
          .init(partition: 0, directory: "b", text: "other"),
        ])
    }
    return rig
  }

  private static func damage(_ damage: (any FileStore) throws -> Void) throws -> [String] {
    let rig = try folder()
    try damage(rig.reader())
    return try rig.report().verify().problems
  }

  private static let first = "/out/a/part-00001-00000001.txt"
  private static let last = "/out/b/.part-00001-00000002.txt.part"

  @Test func anUndamagedFolderIsFineAlsoWhileItIsWritten() throws {
    let rig = try Self.folder()
    let result = try rig.report().verify()
    #expect(result.problems == [])
    #expect(result.files == 3 && result.records == 12)
    _ = try rig.prepare(7, [.init(partition: 0, directory: "b", text: "not decided")])
    #expect(try rig.report().verify().problems == [])
    let listed = try rig.report().committed.map {
      "\($0.path) \($0.phase) \($0.firstBatch)-\($0.lastBatch) \($0.records)"
    }
    #expect(
      listed == [
        "a/part-00001-00000001.txt placed 1-3 3", "b/part-00001-00000002.txt open 1-6 6",
        "a/part-00001-00000003.txt placed 4-6 3",
      ])
  }

  @Test func everyDamageIsNamed() throws {
    #expect(
      try Self.damage { try $0.open(Self.first, .readWrite).write(at: 30, "X") } == [
        "a/part-00001-00000001.txt has other bytes than were committed, between 24 and 48: batch 2"
      ])
    #expect(
      try Self.damage { try $0.open(Self.first, .readWrite).truncate(to: 50) } == [
        "a/part-00001-00000001.txt has 50 bytes, 72 were committed: it ends in batch 3"
      ])
    #expect(
      try Self.damage { try $0.open(Self.first, .readWrite).write(at: 72, "more") } == [
        "a/part-00001-00000001.txt has 76 bytes, 72 were committed: what follows them was never committed"
      ])
    #expect(
      try Self.damage { try $0.removeFile("/out/a/part-00001-00000003.txt") } == [
        "/out/a/part-00001-00000003.txt is gone: batches 4 to 6 had 3 records in it"
      ])
    #expect(
      try Self.damage { try $0.removeFile(Self.last) } == [
        "/out/b/part-00001-00000002.txt is gone: batches 1 to 6 had 6 records in it"
      ])
    #expect(
      try Self.damage { try $0.open(Self.last, .readWrite).truncate(to: 7) } == [
        "b/.part-00001-00000002.txt.part has 7 bytes, 36 were committed: it ends in batch 2"
      ])
    // A batch twice: a copy under a name like ours.
    #expect(
      try Self.damage { files in
        let content = try files.contents(of: Self.first)
        try files.open("/out/a/part-00001-00000009.txt", .create).write(at: 0, content)
      } == ["a/part-00001-00000009.txt is in no batch: it was never committed"])
    // What readers skip is no damage.
    #expect(try Self.damage { _ = try $0.open("/out/a/_SUCCESS", .create) } == [])
    #expect(throws: FileStreamingError.self) { try FolderReport(directory: "/", files: try Self.folder().reader()) }
  }

  /// Rolled files that their user has removed, the oldest first, are no damage; one from between others is.
  @Test(arguments: [false, true]) func whatWasRemovedAfterItWasCompleteIsCounted(isCompacted: Bool) throws {
    let rig = FolderRig(seed: 1, isDeciding: true, rolling: RollingPolicy(size: 1, age: .seconds(1000)))
    if !isCompacted { rig.limits = FolderManifest.Limits() }
    try rig.start()
    for number in Int64(1)...20 {
      try rig.run(number, [.init(partition: 0, directory: number % 2 == 0 ? "a" : "b", text: "x")])
    }
    #expect(try !rig.reader().list("/out/_sluice/ledgers").isEmpty == isCompacted)
    let names = try rig.reader().list("/out/a")
    #expect(names.count == 10)
    for name in names.prefix(3) { try rig.reader().removeFile("/out/a/\(name)") }
    let result = try rig.report().verify()
    #expect(result.problems == [])
    #expect(
      result.notes == ["3 files of batches 2 to 6 with 3 records are gone (removed after they were complete)"])
    #expect(result.removed == 3 && result.files == 17 && result.records == 17)
    #expect(try rig.report().verify(isStrict: true).problems.count == 3)
    // The job goes on, and so does a later start.
    try rig.run(21, [.init(partition: 0, directory: "a", text: "x")])
    rig.process.kill()
    rig.restart()
    #expect(try rig.start() == 21)
    #expect(try rig.report().verify().problems == [])
    try rig.reader().removeFile("/out/a/\(names[4])")
    #expect(
      try rig.report().verify().problems == ["/out/a/\(names[4]) is gone: batches 10 to 10 had 1 records in it"])
    // All that is left of the directory.
    for name in try rig.reader().list("/out/a") where !name.hasPrefix(".") {
      try rig.reader().removeFile("/out/a/\(name)")
    }
    #expect(try rig.report().verify().problems == [])
  }

  /// Batches whose entries are lost from the middle of the manifest.
  @Test func aLedgerThatIsGoneIsNamed() throws {
    let rig = FolderRig(seed: 1, isDeciding: true, rolling: RollingPolicy(size: 1, age: .seconds(1000)))
    try rig.start()
    for number in Int64(1)...60 { try rig.run(number, [.init(partition: 0, directory: "", text: "x")]) }
    let ledgers = try rig.reader().list("/out/_sluice/ledgers")
    let ledger = try #require(ledgers.first)
    try rig.reader().removeFile("/out/_sluice/ledgers/\(ledger)")
    let problems = try rig.report().verify().problems
    #expect(
      problems.first == "/out/_sluice/ledgers/\(ledger) is gone or damaged: the files it told of are not known")
  }

  /// A start says which file lost what was committed.
  @Test func aStartOverADamagedFileIsRefused() throws {
    let rig = try Self.folder()
    rig.process.kill()
    try rig.reader().open(Self.last, .readWrite).truncate(to: 7)
    rig.restart()
    let error = #expect(throws: FileStreamingError.self) { try rig.start() }
    #expect(error == .damagedFile(Self.last, reason: "it has 7 bytes, 36 were committed"))
  }
}
