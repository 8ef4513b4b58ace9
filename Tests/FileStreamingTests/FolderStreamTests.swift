import Datasets
import Groundwork
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import FileStreaming

/// Files that are moved into a folder, as a stream.
@Suite struct FolderStreamTests {
  /// Collects the lines of each batch that has some.
  private func record(_ stream: DStream<Bytes>, into cell: Cell<[[String]]>) {
    stream.foreachRDD { batch in
      let lines = try batch.collect().map { String($0) }
      if !lines.isEmpty { cell.value.append(lines) }
    }
  }

  @Test func aFileIsTakenOnceWhenItIsThere() throws {
    let harness = try FolderHarness()
    let mover = try Mover(harness.simulation)
    try mover.moveIn("old", "old\n")
    try harness.simulation.run(for: .seconds(1))
    let batches = Cell<[[String]]>([])
    record(harness.context.textFileStream("/in"), into: batches)
    try harness.start()
    try harness.advance(2)
    #expect(batches.value == [])
    try mover.moveIn("b.txt", "b1\nb2\n")
    try mover.moveIn("a.txt", "a1\n")
    try mover.write("/in/.hidden", "no\n")
    try mover.write("/in/_hidden", "no\n")
    try mover.write("/in/c.txt._COPYING_", "no\n")
    try mover.files.createDirectories("/in/folder")
    try harness.advance(2)
    #expect(batches.value == [["a1", "b1", "b2"]])
    // In its own time: what is renamed to a visible name is there.
    try mover.files.rename("/in/c.txt._COPYING_", to: "/in/c.txt")
    try harness.advance(2)
    #expect(batches.value == [["a1", "b1", "b2"], ["no"]])
    // Written over, it is still the same file.
    try mover.write("/in/a.txt", "again\n")
    try harness.advance(70)
    #expect(batches.value.count == 2)
    try harness.stop()
    #expect(harness.end == ["ended"])
  }

  @Test func filesThatWereThereAreTakenWhereAskedFor() throws {
    let harness = try FolderHarness(availableNow: true)
    let mover = try Mover(harness.simulation)
    try mover.moveIn("very old", "old\n")
    try harness.simulation.run(for: .seconds(10_000))
    try mover.moveIn("new", "new\n")
    try mover.moveIn("unwanted", "no\n")
    let batches = Cell<[[String]]>([])
    record(
      harness.context.textFileStream("/in", newFilesOnly: false) { !$0.hasSuffix("unwanted") }, into: batches)
    try harness.start()
    try harness.runToEnd()
    #expect(harness.end == ["ended"])
    #expect(batches.value == [["old", "new"]])
  }

  /// A file whose time lies behind: taken within the window, old beyond it.
  @Test func aFileThatShowsLate() throws {
    let harness = try FolderHarness(settings: [
      "sluice.streaming.fileStream.minRememberDuration": "10s"
    ])
    let mover = try Mover(harness.simulation)
    let batches = Cell<[[String]]>([])
    record(harness.context.textFileStream("/in"), into: batches)
    try harness.start()
    try harness.advance(1)
    for name in ["late", "too late"] { try mover.write("/elsewhere/\(name)", "\(name)\n") }
    try harness.advance(8)
    try mover.files.rename("/elsewhere/late", to: "/in/late")
    try harness.advance(8)
    try mover.files.rename("/elsewhere/too late", to: "/in/too late")
    try harness.advance(8)
    #expect(batches.value == [["late"]])
    try harness.stop()
  }

  @Test func aFolderThatIsMadeLater() throws {
    let harness = try FolderHarness()
    let batches = Cell<[[String]]>([])
    record(harness.context.textFileStream("/in"), into: batches)
    try harness.start()
    try harness.advance(3)
    #expect(harness.log.filter { $0.contains("files /in: cannot list /in") }.count == 1)
    let mover = try Mover(harness.simulation)
    try mover.moveIn("a", "a\n")
    try harness.advance(2)
    #expect(batches.value == [["a"]])
    try harness.stop()
  }

  @Test func recordsAndReadersOfYourOwn() throws {
    let harness = try FolderHarness()
    let mover = try Mover(harness.simulation)
    let records = Cell<[[String]]>([])
    let names = Cell<[String]>([])
    record(harness.context.binaryRecordsStream("/in", recordLength: 3), into: records)
    harness.context.fileStream("/in") { context, files in context.parallelize(files.map(\.path)) }
      .foreachRDD { names.value += try $0.collect() }
    try harness.start()
    try harness.advance()
    try mover.moveIn("a", "abcdef")
    try harness.advance(2)
    #expect(records.value == [["abc", "def"]])
    #expect(names.value == ["/in/a"])
    try mover.moveIn("b", "abcd")
    try harness.advance(2)
    #expect(harness.end.first?.contains("/in/b has 4 bytes, which is no multiple of the record length of 3") == true)
  }

  /// Files come all the time, the job is killed now and then, also in the midst of a batch: each file is in one batch,
  /// and a batch that runs again is the same.
  @Test func everyFileOnceOverRestarts() throws {
    var wrong: [String] = []
    var replays = 0
    for seed in UInt64(1)...40 {
      let simulation = SimulatedWorld(seed: seed)
      var random = SeededRandom(seed: seed)
      let mover = try Mover(simulation)
      let batches = Cell<[Int64: [[String]]]>([:])
      var moved: [String] = []
      for run in 0..<5 {
        let harness = try FolderHarness(interval: .milliseconds(500), simulation: simulation)
        let process = harness.process
        harness.context.textFileStream("/in").foreachRDD { batch, time in
          let lines = try batch.collect().map { String($0) }
          if !lines.isEmpty { batches.value[time.milliseconds, default: []].append(lines) }
          if run % 2 == 1, batches.value.count % 4 == 3 { process.kill() }
        }
        try harness.start()
        // The first batch of all says where the stream begins.
        if run == 0 { try simulation.run(for: .seconds(2)) }
        for _ in 0..<Int(3 + random.next() % 8) {
          let name = "file \(moved.count)"
          moved.append(name)
          try mover.moveIn(name, "\(name)\n")
          try simulation.run(for: .milliseconds(Int64(random.next() % 900)))
        }
        if harness.log.contains(where: { $0.contains("run again over the same input") }) { replays += 1 }
        if run == 4 {
          try simulation.run(for: .seconds(3))
          try harness.stop()
          if harness.end != ["ended"] { wrong.append("seed \(seed): \(harness.end)") }
        } else {
          process.kill()
          // Down for longer than anything is remembered, at times; files come meanwhile.
          let name = "file \(moved.count)"
          moved.append(name)
          try mover.moveIn(name, "\(name)\n")
          try simulation.run(for: random.next() % 2 == 0 ? .seconds(5) : .seconds(500))
        }
      }
      for time in batches.value.keys.sorted() where Set(batches.value[time]!).count > 1 {
        wrong.append("seed \(seed): batch \(time) was \(batches.value[time]!)")
      }
      let all = batches.value.values.flatMap { $0[0] }.sorted()
      if all != moved.sorted() { wrong.append("seed \(seed): \(all.count) of \(moved.count): \(all)") }
    }
    #expect(wrong == [])
    #expect(replays > 5, "\(replays) replays")
  }

  @Test func theMemoryIsLinesAndBack() {
    var memory = FolderMemory(window: .seconds(60), floor: 1000)
    let file = InputFile(path: "/in/a b", size: 3, modified: 2000)
    memory.saw([file, InputFile(path: "/in/old", size: 3, modified: 1000)], at: 5000)
    #expect(memory.waiting == [file])
    #expect(memory.take() == [file])
    let later = InputFile(path: "/in/c", size: 1, modified: 6000)
    memory.saw([file, later, InputFile(path: "/in/future", size: 1, modified: 9000)], at: 7000)
    let lines = memory.details(memory.take())
    #expect(lines == ["floor 1000", "scanned 7000", "before 0 2000 /in/a b", "file 1 6000 /in/c"])
    var other = FolderMemory(window: .seconds(60), floor: 99_000)
    #expect(other.adopt(lines) == [later])
    #expect(other == memory)
    #expect(other.adopt(["nonsense"]) == nil)
    #expect(other.adopt(["file x"]) == nil)
    // Forgotten when no scan can find it as new.
    memory.saw([file, later], at: 70_000)
    #expect(memory.taken.isEmpty)
    memory.saw([file, later], at: 71_000)
    #expect(memory.waiting.isEmpty)
  }
}
