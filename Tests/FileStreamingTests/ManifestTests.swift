import Groundwork
import Journals
import Simulation
import SystemInterfaces
import Testing

@testable import FileStreaming

/// The entries of a manifest, and what they make of the state.
@Suite struct ManifestTests {
  private static var samples: [ManifestEntry] {
    var file = OutputFile(number: 7, directory: "dt=2013-01-01", name: "part-00001-00000007.txt")
    file.phase = .closed
    file.length = 1 << 40
    file.crc = 0xDEAD_BEEF
    file.records = 3
    (file.firstBatch, file.lastBatch, file.batches, file.opened) = (1, 9, 4, 1_357_000_000_000)
    let change = BatchChange(
      batch: 9, time: 1_357_000_000_000, previous: 8, record: "ranges", isExact: true,
      files: [FileChange(number: 7, length: 12, crc: 5, records: 2, closes: true)])
    var state = FolderState(job: "archive", epoch: 3)
    (state.lastBatch, state.lastTime, state.batches, state.records, state.parts, state.nextNumber) = (9, 8, 7, 6, 5, 8)
    state.record = "the record"
    state.files[7] = file
    state.prepared = change
    state.ledgers = [.init(epoch: 2, count: 3)]
    return [
      .snapshot(state), .created(epoch: 3, [file]), .removed(epoch: 3, [1, 2]), .batch(epoch: 3, change),
      .prepared(epoch: 3, change), .committed(epoch: 3, batch: 9), .dropped(epoch: 3, batch: 9),
      .closed(epoch: 3, [7]), .placed(epoch: 3, []),
    ]
  }

  @Test func entriesComeBackAsTheyWere() throws {
    for entry in Self.samples {
      #expect(try ManifestEntry(entry.journalEntry, at: 0, of: "m") == entry)
    }
  }

  @Test func entriesThatAreCutOrFlippedAreRefusedOrRead() throws {
    var accepted = 0
    for entry in Self.samples {
      let payload = entry.journalEntry.payload
      for count in 0..<payload.count {
        let cut = JournalEntry(version: 1, payload: payload[0..<count])
        if (try? ManifestEntry(cut, at: 0, of: "m")) != nil { accepted += 1 }
        var bytes = Array(payload)
        bytes[count] ^= 0xFF
        // Whatever is read, nothing traps and nothing large is allocated.
        _ = try? ManifestEntry(JournalEntry(version: 1, payload: Bytes(bytes)), at: 0, of: "m")
      }
      #expect(throws: JournalError.self) {
        try ManifestEntry(JournalEntry(version: 2, payload: payload), at: 0, of: "m")
      }
    }
    #expect(accepted == 0)
  }

  @Test func whatDoesNotFollowIsRefused() throws {
    var state = FolderState(job: "j", epoch: 2)
    let file = OutputFile(number: 1, directory: "", name: "part")
    try state.apply(.created(epoch: 2, [file]))
    let before = state
    func change(_ batch: Int64, previous: Int64, length: Int64, isExact: Bool = true) -> BatchChange {
      BatchChange(
        batch: batch, time: batch, previous: previous, record: Bytes(), isExact: isExact,
        files: [FileChange(number: 1, length: length, crc: 1, records: length, closes: false)])
    }
    // An older writer's entries are void.
    #expect(try !state.apply(.batch(epoch: 1, change(1, previous: 0, length: 5))))
    for entry in [
      .created(epoch: 2, [file]), .batch(epoch: 2, change(1, previous: 4, length: 5)),
      .committed(epoch: 2, batch: 1), .placed(epoch: 2, [1]), .closed(epoch: 2, [9]),
    ] as [ManifestEntry] {
      #expect(throws: ManifestMisfit.self) { try state.apply(entry) }
    }
    #expect(state == before)
    try state.apply(.batch(epoch: 2, change(3, previous: 0, length: 5)))
    for entry in [
      // Shorter, twice, and a file that is dropped with what was committed.
      .batch(epoch: 2, change(4, previous: 3, length: 4)), .batch(epoch: 2, change(3, previous: 3, length: 6)),
      .removed(epoch: 2, [1]),
    ] as [ManifestEntry] {
      #expect(throws: ManifestMisfit.self) { try state.apply(entry) }
    }
    // At-least-once writers may repeat a batch.
    try state.apply(.batch(epoch: 2, change(3, previous: 3, length: 6, isExact: false)))
    #expect(state.batches == 2 && state.records == 6 && state.parts == 2)
  }

  /// Opening stays quick, whatever was written before; what was dropped from the manifest is still known.
  @Test func theManifestStaysSmall() throws {
    let rig = FolderRig(seed: 1, isDeciding: true, rolling: RollingPolicy(size: 1, age: .seconds(100)))
    rig.limits = FolderManifest.Limits(bytes: 4096, placedFiles: 10)
    try rig.start()
    var largest: Int64 = 0
    var expected = ""
    for number in Int64(1)...400 {
      try rig.run(number, [.init(partition: 0, directory: "", text: "line \(number)")])
      expected += "line \(number)\n"
      let size = try rig.reader().attributes("/out/_sluice/manifest-\(rig.epoch)")?.size ?? 0
      largest = max(largest, size)
      if number == 200 {
        rig.process.kill()
        rig.restart()
        #expect(try rig.start() == 200)
      }
    }
    #expect(largest < 8192, "\(largest) bytes")
    let report = try rig.report()
    #expect(report.committed.count == 400 && report.records == 400 && report.batches == 400)
    #expect(try report.verify().problems == [])
    #expect(try rig.visible() == ["": expected])
    #expect(try rig.reader().list("/out/_sluice/ledgers").count > 10)
  }
}
