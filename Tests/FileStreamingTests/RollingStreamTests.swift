import Codecs
import Datasets
import Groundwork
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import FileStreaming

/// Rolling files as a job writes them, in virtual time.
@Suite struct RollingStreamTests {
  private static func names(_ files: any FileStore, _ folder: String) throws -> [String] {
    try files.list(folder).filter { !PathPattern.isHidden($0) }
  }

  /// 100 ms batches for ten minutes give files of the target size, not 6,000 of them, and a manifest that stays small.
  @Test(arguments: [CompressionCodec.none, .gzip])
  func smallBatchesGiveFilesOfTheTargetSize(codec: CompressionCodec) throws {
    let harness = try FolderHarness(interval: .milliseconds(100), checkpoint: nil, settings: [:])
    let batches = 6000
    let perBatch = 20
    var random = SeededRandom(seed: 3)
    // Text that gzip takes a part off.
    let noise = Bytes((0..<1 << 16).map { _ in UInt8.random(in: 97...122, using: &random) })
    @Sendable func content(_ number: Int) -> Bytes {
      let start = number &* 7919 % (noise.count - 150)
      return noise[start..<start + 150]
    }
    let queue = QueueSource<Int>()
    for batch in 0..<batches { queue.append(Array(batch * perBatch..<(batch + 1) * perBatch)) }
    let size: Int64 = 1 << 20
    harness.context.queueStream(queue, partitions: 2).saveToFiles(
      "/out",
      format: .text { number, line in
        line.append("\(number) ")
        content(number).withUnsafeBytes { line.append($0) }
      }, compression: codec, rolling: RollingPolicy(size: size, age: .seconds(3600)))
    try harness.start()
    var manifestMax: Int64 = 0
    for _ in 0..<601 {
      try harness.simulation.run(for: .seconds(1))
      let bytes = try harness.files.attributes("/out/_sluice/manifest-1")?.size
      manifestMax = max(manifestMax, try #require(bytes))
    }
    let rolled = try Self.names(harness.files, "/out")
    let open = try #require(try FolderReport(directory: "/out", files: harness.files).committed.last)
    try harness.stop()
    #expect(harness.end == ["ended"])

    var expected = ByteWriter()
    for number in 0..<batches * perBatch {
      expected.append("\(number) ")
      expected.append(content(number))
      expected.append("\n")
    }
    var found = ByteWriter()
    var sizes: [Int64] = []
    for name in try Self.names(harness.files, "/out") {
      let bytes = try harness.files.contents(of: "/out/\(name)")
      sizes.append(Int64(bytes.count))
      found.append(codec == .none ? bytes : try CodecWorkspace().decompress(bytes, with: codec, limit: 1 << 30))
    }
    let (foundText, expectedText) = (found.finish(), expected.finish())
    #expect(foundText == expectedText)
    // All but the last, which the end of the job closed.
    let whole = sizes.dropLast()
    #expect(whole.count > 8 && whole.count == rolled.count, "\(sizes.count) files")
    let batchBytes = open.length / open.batches
    #expect(whole.allSatisfy { $0 >= size && $0 < size + 2 * batchBytes }, "\(sizes)")
    let (least, most) = codec == .none ? (Int64(3_000), Int64(3_500)) : (2_000, 3_000)
    #expect(batchBytes > least && batchBytes < most, "\(batchBytes) bytes a batch")
    // What 6,000 entries take is more than it ever has.
    #expect(manifestMax > 256 << 10 && manifestMax < (1 << 20) + (4 << 10), "\(manifestMax) bytes of manifest")
    #expect(try FolderReport(directory: "/out", files: harness.files).verify().problems == [])
  }

  /// A file is closed when its first batch is so old, whether or not anything comes after it.
  @Test func filesAreClosedByAgeWithoutInput() throws {
    let harness = try FolderHarness(checkpoint: nil, settings: [:])
    let queue = QueueSource<String>()
    queue.append(["a", "b"])
    queue.append(["c"])
    harness.context.queueStream(queue, partitions: 1).saveToFiles(
      "/out", rolling: RollingPolicy(age: .seconds(10)), path: "day={date}")
    try harness.start()
    try harness.advance(9)
    #expect(try Self.names(harness.files, "/out/day=2013-01-01") == [])
    #expect(try harness.files.list("/out/day=2013-01-01").count == 1)
    try harness.advance(4)
    let names = try Self.names(harness.files, "/out/day=2013-01-01")
    #expect(names == ["part-00001-00000001.txt"])
    let name = try #require(names.first)
    #expect(try harness.files.contents(of: "/out/day=2013-01-01/\(name)") == "a\nb\nc\n")
    try harness.stop()
  }

  /// Of too many open files those are closed that were written least recently.
  @Test func openFilesAreLimited() throws {
    let rig = FolderRig(
      seed: 1, isDeciding: true, rolling: RollingPolicy(size: 1 << 20, age: .seconds(1000), openFilesMax: 2))
    try rig.start()
    func open() throws -> [String] { try rig.report().committed.filter { $0.phase == .open }.map(\.directory) }
    for (number, directory) in ["a", "b", "a", "c"].enumerated() {
      try rig.run(Int64(number + 1), [.init(partition: 0, directory: directory, text: "x")])
    }
    #expect(try open() == ["a", "c"])
    try rig.run(5, ["p", "q", "r", "s"].map { .init(partition: 0, directory: $0, text: "x") })
    #expect(try open().count == 2)
    try rig.run(6, [.init(partition: 0, directory: "a", text: "y")])
    #expect(try rig.committed()["a"] == "x\nx\ny\n")
    rig.sink.end()
    #expect(try rig.visible().count == 7)
  }

  /// A batch larger than a file is cut into several, and what a task cannot hold goes through a file of its own.
  @Test(arguments: [CompressionCodec.none, .zstd]) func aLargeBatchGivesSeveralFiles(codec: CompressionCodec) throws {
    for memoryMax in [0, 64 << 20] {
      let rig = FolderRig(
        seed: 1, isDeciding: true, rolling: RollingPolicy(size: 500_000, age: .seconds(1000)), codec: codec)
      rig.memoryMax = memoryMax
      try rig.start()
      var random = SeededRandom(seed: 1)
      let lines = (0..<40_000).map { number in
        FolderRig.Line(
          partition: number % 2, directory: number % 4 < 3 ? "a" : "b",
          text: "\(number) \(random.next()) \(random.next()) \(random.next())")
      }
      try rig.run(1, lines)
      #expect(
        try rig.reader().list("/out/_sluice").filter { $0.hasPrefix("attempts") }.count == (memoryMax == 0 ? 1 : 0))
      rig.sink.end()
      var expected: [String: String] = [:]
      for partition in 0..<2 {
        for line in lines where line.partition == partition {
          expected[line.directory, default: ""] += line.text + "\n"
        }
      }
      #expect(try rig.visible() == expected)
      let report = try rig.report()
      #expect(report.committed.filter { $0.directory == "a" }.count >= 2)
      #expect(report.records == 40_000 && report.batches == 1)
      #expect(try report.verify().problems == [])
    }
  }

  /// A job that is killed and started again: its records are there once, whatever the checkpoint knows.
  @Test func aKilledJobGoesOn() throws {
    let simulation = SimulatedWorld(seed: 8)
    let mover = try Mover(simulation)
    var expected: [String] = []
    for life in 0..<4 {
      let harness = try FolderHarness(seed: 8, simulation: simulation)
      harness.context.textFileStream("/in").saveToFiles("/out", rolling: RollingPolicy(age: .seconds(3)))
      try harness.start()
      #expect(harness.log.contains { $0.hasPrefix("output saveToFiles-1: exactly-once") }, "\(harness.log)")
      for step in 0..<5 {
        try mover.moveIn("f-\(life)-\(step)", "line \(life) \(step)\n")
        expected.append("line \(life) \(step)")
        try harness.advance()
      }
      if life < 3 {
        harness.process.kill()
      } else {
        try harness.advance(3)
        try harness.stop()
        #expect(harness.end == ["ended"])
      }
      try simulation.run(for: .milliseconds(50 + 300 * life))
    }
    let files = simulation.makeProcess(named: "reader").world.files
    var text = ""
    for name in try Self.names(files, "/out") { text += String(try files.contents(of: "/out/\(name)")) }
    #expect(text.split(separator: "\n").map { String($0) }.sorted() == expected)
    #expect(try FolderReport(directory: "/out", files: files).verify().problems == [])
  }

  /// A job that ends with an error frees its folder, also where its process lives on.
  @Test func aFailedJobFreesItsFolder() throws {
    struct Broken: Error {}
    let simulation = SimulatedWorld(seed: 9)
    let mover = try Mover(simulation)
    let isBroken = Cell(true)
    var ends: [[String]] = []
    for life in 0..<2 {
      let harness = try FolderHarness(seed: 9, simulation: simulation)
      harness.context.textFileStream("/in").map { line -> Bytes in
        if String(line) == "bad", isBroken.value { throw Broken() }
        return line
      }.saveToFiles("/out")
      try harness.start()
      for name in life == 0 ? ["good", "bad"] : ["late"] {
        try mover.moveIn(name, "\(name)\n")
        try harness.advance(2)
      }
      isBroken.value = false
      if life == 1 { try harness.stop() }
      ends.append(harness.end)
    }
    #expect(ends[0].count == 1 && ends[0][0].contains("Broken()"), "\(ends)")
    #expect(ends[1] == ["ended"])
    let files = simulation.makeProcess(named: "reader").world.files
    var text = ""
    for name in try Self.names(files, "/out") { text += String(try files.contents(of: "/out/\(name)")) }
    #expect(text.split(separator: "\n").sorted() == ["bad", "good", "late"])
  }

  @Test func whatCannotBeIsSaidBeforeTheStart() throws {
    func problem(_ define: (DStream<String>) -> Void) throws -> String {
      let harness = try FolderHarness(checkpoint: nil, settings: [:])
      define(harness.context.queueStream(QueueSource<String>(), partitions: 1))
      do { try harness.start() } catch { return "\(error)" }
      return ""
    }
    #expect(
      try problem { $0.saveToFiles("/out", compression: .snappy) }
        == "saveToFiles: files are not written as snappy: choose gzip, zstd, lz4 or none")
    #expect(
      try problem { $0.saveToFiles("/out", rolling: RollingPolicy(size: 0)) }
        == "saveToFiles: a file size of 0 bytes is not possible: choose 1 or more")
    #expect(
      try problem { $0.saveToFiles("/out", path: "{nothing}") }.hasPrefix("saveToFiles: the path `{nothing}` asks for"))
    #expect(
      try problem {
        $0.saveToFiles("/out")
        $0.saveToFiles("/out/")
      } == "saveToFiles: two outputs of this job write to /out: give one another folder")
  }
}
