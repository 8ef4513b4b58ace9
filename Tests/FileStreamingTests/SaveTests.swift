import Codecs
import Datasets
import Groundwork
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import FileStreaming

/// Datasets as files.
@Suite struct SaveTests {
  @Test func aFolderOfPartFiles() throws {
    let desk = Desk()
    try desk.run { try $0.parallelize(1...5, partitionCount: 3).saveAsTextFile("/out/numbers") }
    #expect(
      try desk.tree("/out") == [
        "/out/numbers/part-00000": "1\n", "/out/numbers/part-00001": "2\n3\n", "/out/numbers/part-00002": "4\n5\n",
        "/out/numbers/_SUCCESS": "",
      ])
    let back = try desk.run { try $0.textFile("/out/numbers").compactMap { Int($0) }.collect() }
    #expect(back == [1, 2, 3, 4, 5])
  }

  @Test func aFolderThatExistsIsRefused() throws {
    let desk = Desk()
    try desk.put("/out/keep", "mine")
    let before = try desk.tree("/out")
    #expect(throws: FileStreamingError.outputExists("/out")) {
      try desk.run { try $0.parallelize([1]).saveAsTextFile("/out") }
    }
    #expect(try desk.tree("/out") == before)
  }

  @Test(arguments: [CompressionCodec.gzip, .zstd, .lz4]) func codecsAndBack(_ codec: CompressionCodec) throws {
    let desk = Desk()
    let count = 300_000
    try desk.run { context in
      try context.parallelize(0..<count, partitionCount: 2)
        .saveAsTextFile("/out", codec: codec) { $1.append("number \($0)") }
    }
    let ending = try FileCompression.ending(codec)
    #expect(try desk.files.list("/out") == ["_SUCCESS", "part-00000\(ending)", "part-00001\(ending)"])
    let back = try desk.run { context in
      try context.textFile("/out").map { $0.count }.reduce(+)
    }
    #expect(back == (0..<count).reduce(0) { $0 + "number \($1)".utf8.count })
    #expect(throws: FileStreamingError.unsupportedCodec("snappy")) {
      try desk.run { try $0.parallelize([1]).saveAsTextFile("/other", codec: .snappy) }
    }
    #expect(try desk.tree("/other") == [:])
  }

  @Test func objectsAndBack() throws {
    let desk = Desk()
    let elements = (0..<5000).map { StreamPair("key \($0)", [$0, -$0]) }
    try desk.run { try $0.parallelize(elements, partitionCount: 4).saveAsObjectFile("/out") }
    #expect(try desk.files.list("/out").count == 5)
    let back: [StreamPair<String, [Int]>] = try desk.run { try $0.objectFile("/out").collect() }
    #expect(back == elements)
    // Of another type.
    let error = #expect(throws: (any Error).self) {
      try desk.run { try $0.objectFile("/out", of: Bool.self).count() }
    }
    #expect("\(error!)".contains("with elements of this type?"), "\(error!)")
  }

  @Test func damagedObjectFilesAreNotRead() throws {
    let desk = Desk()
    try desk.run { try $0.parallelize(0..<2000, partitionCount: 1).saveAsObjectFile("/out") }
    let whole = try desk.files.contents(of: "/out/part-00000")
    var random = SeededRandom(seed: 3)
    var silent: [String] = []
    for _ in 0..<60 {
      var bytes = Array(whole)
      let place = Int(random.next() % UInt64(bytes.count))
      let isCut = random.next() % 2 == 0
      if isCut { bytes.removeLast(bytes.count - place) } else { bytes[place] ^= UInt8(1 << (random.next() % 8)) }
      if bytes.isEmpty { continue }
      try desk.put("/damaged/part-00000", Bytes(bytes))
      let count = try? desk.run { try $0.objectFile("/damaged", of: Int.self).count() }
      // A cut between two entries shows nothing.
      if let count, count == 2000 || !isCut { silent.append("\(isCut ? "cut" : "flip") at \(place): \(count)") }
    }
    #expect(silent == [])
  }

  @Test func aFailedAttemptLeavesNothing() throws {
    struct Broken: Error {}
    let desk = Desk()
    let failures = Cell(0)
    try desk.run { context in
      try context.parallelize(0..<10, partitionCount: 2).map { (number: Int) -> Int in
        if number == 7, failures.value < 3 {
          failures.value += 1
          throw Broken()
        }
        return number
      }.saveAsTextFile("/out")
    }
    #expect(failures.value == 3)
    #expect(
      try desk.tree("/out") == [
        "/out/part-00000": "0\n1\n2\n3\n4\n", "/out/part-00001": "5\n6\n7\n8\n9\n", "/out/_SUCCESS": "",
      ])
  }

  @Test func aFailedJobLeavesNothing() throws {
    struct Broken: Error {}
    let desk = Desk()
    #expect(throws: (any Error).self) {
      try desk.run { context in
        try context.parallelize(0..<10, partitionCount: 2).map { (number: Int) -> Int in
          if number == 7 { throw Broken() }
          return number
        }.saveAsTextFile("/out/result")
      }
    }
    #expect(try desk.tree("/out") == ["/out/": ""])
  }

  /// Whatever the disk does: all is there and marked, or nothing is.
  @Test func allOrNothingOnAFaultyDisk() throws {
    var wrong: [String] = []
    var succeeded = 0
    for seed in UInt64(1)...150 {
      let desk = Desk(seed: seed)
      desk.disk.failureProbability = 0.06
      let result = Result {
        try desk.run { try $0.parallelize(0..<100, partitionCount: 4).saveAsTextFile("/out/result") }
      }
      desk.disk.failureProbability = 0
      let tree = try desk.tree("/out/result")
      switch result {
      case .success:
        succeeded += 1
        let lines = (0..<4).map { tree["/out/result/part-0000\($0)"] ?? "missing" }.joined()
        if lines != (0..<100).map({ "\($0)\n" }).joined() || tree["/out/result/_SUCCESS"] == nil {
          wrong.append("seed \(seed): \(tree)")
        }
      case .failure:
        // Removing may fail as well: but then nothing is marked as complete, or everything is there.
        let isMarked = tree["/out/result/_SUCCESS"] != nil
        if isMarked, (0..<4).contains(where: { tree["/out/result/part-0000\($0)"] == nil }) {
          wrong.append("seed \(seed): \(tree)")
        }
      }
    }
    #expect(wrong == [])
    #expect(succeeded > 20 && succeeded < 150, "\(succeeded) of 150")
  }

  /// What a power loss spares after a save that returned.
  @Test func aSavedFolderOutlivesThePower() throws {
    for seed in UInt64(1)...30 {
      let desk = Desk(seed: seed)
      try desk.files.createDirectories("/out")
      try desk.files.syncDirectory("/out")
      try desk.run { try $0.parallelize(0..<10, partitionCount: 2).saveAsTextFile("/out/result") }
      desk.simulation.losePower()
      let after = desk.simulation.makeProcess(named: "later").world.files
      #expect(try after.list("/out/result").filter { $0 != "_temporary" } == ["_SUCCESS", "part-00000", "part-00001"])
      #expect(try String(after.contents(of: "/out/result/part-00001")) == "5\n6\n7\n8\n9\n")
    }
  }
}
