import Groundwork
import Journals
import Simulation
import SystemInterfaces
import Testing

/// Journals: what was confirmed is there after any death, what is damaged is cut and told.
struct JournalTests {
  private let simulation = SimulatedWorld(seed: 11)

  private func entries(_ journal: [String]) -> [JournalEntry] {
    journal.enumerated().map { JournalEntry(version: UInt16($0.offset % 3), payload: Bytes($0.element)) }
  }

  private func replay(
    _ path: String, in files: any FileStore
  ) throws -> (journal: Journal, entries: [JournalEntry], cut: Int64) {
    var found: [JournalEntry] = []
    let (journal, cut) = try Journal.open(path, in: files) { entry, _ in found.append(entry) }
    return (journal, found, cut)
  }

  @Test func entriesComeBackInOrder() throws {
    let files = simulation.makeProcess(named: "a").world.files
    let wanted = entries(["", "one", String(repeating: "x", count: 300_000), "four"])
    let (journal, none, _) = try replay("/j", in: files)
    #expect(none.isEmpty)
    try journal.append(wanted[0], sync: false)
    try journal.append(Array(wanted[1...]), sync: true)
    #expect(journal.entryCount == 4)
    let (again, found, cut) = try replay("/j", in: files)
    #expect(found == wanted)
    #expect(cut == 0)
    #expect(again.byteCount == journal.byteCount)
    #expect(try Journal.first(of: "/j", in: files) == wanted[0])
  }

  @Test func aTailTornAtAnyByteIsCutAndTold() throws {
    let files = simulation.makeProcess(named: "a").world.files
    let wanted = entries(["first", "second entry", "the third, which is torn"])
    let (journal, _, _) = try replay("/j", in: files)
    try journal.append(Array(wanted[..<2]), sync: true)
    let whole = journal.byteCount
    try journal.append(wanted[2], sync: true)
    let content = try files.contents(of: "/j")
    for size in Int(whole)..<content.count {
      try files.replace("/torn", with: content[0..<size])
      let (torn, found, cut) = try replay("/torn", in: files)
      #expect(found == Array(wanted[..<2]), "cut at \(size)")
      #expect(cut == Int64(size) - whole, "cut at \(size)")
      try torn.append(wanted[2], sync: false)
      #expect(try replay("/torn", in: files).entries == wanted, "cut at \(size)")
    }
  }

  @Test func everyFlippedBitIsFound() throws {
    let files = simulation.makeProcess(named: "a").world.files
    let wanted = entries(["first", "second"])
    let (journal, _, _) = try replay("/j", in: files)
    try journal.append(wanted[0], sync: false)
    let whole = Int(journal.byteCount)
    try journal.append(wanted[1], sync: false)
    let content = Array(try files.contents(of: "/j"))
    var missed: [Int] = []
    for position in whole..<content.count {
      for bit in 0..<8 {
        var flipped = content
        flipped[position] ^= 1 << UInt8(bit)
        try files.replace("/flipped", with: Bytes(flipped))
        let scan = try Journal.scan("/flipped", in: files) { _, _ in }
        if scan.entryCount != 1 || scan.validBytes != Int64(whole) { missed.append(position * 8 + bit) }
      }
    }
    #expect(missed.isEmpty)
  }

  @Test func zerosAreNoEntries() throws {
    let files = simulation.makeProcess(named: "a").world.files
    try files.replace("/zeros", with: Bytes([UInt8](repeating: 0, count: 5000)))
    let (_, found, cut) = try replay("/zeros", in: files)
    #expect(found.isEmpty)
    #expect(cut == 5000)
  }

  @Test func aClaimedLengthIsNotAllocated() throws {
    let files = simulation.makeProcess(named: "a").world.files
    try files.replace("/liar", with: Bytes([0x7F, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4, 0, 1, 9, 9]))
    #expect(try replay("/liar", in: files).cut == 12)
  }

  @Test func rewritingKeepsOldOrNew() throws {
    for after in 0..<3 {
      let process = simulation.makeProcess(named: "p\(after)", on: simulation.makeDisk(named: "d\(after)"))
      let files = process.world.files
      let (journal, _, _) = try replay("/j", in: files)
      try journal.append(entries(["a", "b", "c"]), sync: true)
      let fault: DiskFault.Operation = [.write, .sync, .rename][after]
      process.disk.inject(DiskFault(fault, pathContains: "j.new", code: .inputOutput))
      #expect(throws: JournalError.self) { try journal.rewrite(entries(["z"])) }
      #expect(throws: JournalError.self) { try journal.append(entries(["later"]), sync: false) }
      #expect(try replay("/j", in: files).entries == entries(["a", "b", "c"]))
    }
    let files = simulation.makeProcess(named: "fine").world.files
    let (journal, _, _) = try replay("/j", in: files)
    try journal.append(entries(["a", "b", "c"]), sync: true)
    try journal.rewrite(entries(["z"]))
    try journal.append(entries(["y"]), sync: false)
    #expect(try replay("/j", in: files).entries == entries(["z"]) + entries(["y"]))
  }

  /// What is synced together fails by itself: another file's trouble does not break the journal.
  @Test func othersAreSyncedWithIt() throws {
    let process = simulation.makeProcess(named: "together")
    let files = process.world.files
    let (journal, _, _) = try replay("/j", in: files)
    let other = try files.open("/other", .create)
    try other.write(at: 0, "content")
    try journal.append(entries(["a"]), sync: false)
    let before = process.disk.syncs
    try journal.sync(with: [other])
    #expect(process.disk.syncs == before + 2)
    process.disk.inject(DiskFault(.sync, pathContains: "other", code: .inputOutput))
    #expect(throws: JournalError.self) { try journal.sync(with: [other]) }
    #expect(!journal.isBroken)
    process.disk.inject(DiskFault(.sync, pathContains: "/j", code: .inputOutput))
    #expect(throws: JournalError.self) { try journal.sync(with: [other]) }
    #expect(journal.isBroken)
    #expect(throws: JournalError.self) { try journal.sync(with: [other]) }
  }

  @Test func aFailedWriteLeavesNothingBehind() throws {
    let process = simulation.makeProcess(named: "full")
    let files = process.world.files
    let (journal, _, _) = try replay("/j", in: files)
    try journal.append(entries(["a"]), sync: true)
    process.disk.inject(DiskFault(.write, code: .diskFull, isTorn: true))
    let error = #expect(throws: JournalError.self) { try journal.append(entries(["b"]), sync: true) }
    #expect(error?.isRetriable == true)
    #expect(error?.description.contains("free some space") == true)
    try journal.append(entries(["c"]), sync: true)
    #expect(try replay("/j", in: files).entries == entries(["a"]) + entries(["c"]))
  }

  /// Over many seeds: a power loss leaves at least what was synced, at most what was appended, and a prefix of it.
  @Test(arguments: 0..<50) func aPowerLossLeavesAtLeastWhatWasSynced(seed: UInt64) throws {
    let simulation = SimulatedWorld(seed: seed)
    var random = SeededRandom(seed: seed)
    var confirmed: [JournalEntry] = []
    var appended: [JournalEntry] = []
    for life in 0..<4 {
      let files = simulation.makeProcess(named: "life \(life)").world.files
      let (journal, found, _) = try replay("/j", in: files)
      #expect(found.count >= confirmed.count, "seed \(seed)")
      #expect(found == Array(appended[..<min(found.count, appended.count)]), "seed \(seed)")
      appended = found
      confirmed = found
      for _ in 0..<Int.random(in: 0..<20, using: &random) {
        let entry = JournalEntry(
          version: 7, payload: Bytes((0..<Int.random(in: 0..<200, using: &random)).map { UInt8($0) }))
        let isSynced = Bool.random(using: &random)
        appended.append(entry)
        try journal.append(entry, sync: isSynced)
        if isSynced { confirmed = appended }
        if Int.random(in: 0..<15, using: &random) == 0 {
          try journal.rewrite(appended)
          confirmed = appended
        }
      }
      simulation.losePower()
    }
  }
}
