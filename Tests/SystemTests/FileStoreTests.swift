import Groundwork
import SystemInterfaces
import Testing

/// What every file store does, live or simulated.
struct FileStoreTests {
  private func code(_ body: () throws -> Void) -> FileError.Code? {
    do {
      try body()
      return nil
    } catch { return (error as? FileError)?.code }
  }

  @Test(arguments: Kind.allCases) func bytesComeBack(kind: Kind) throws {
    let stage = try Stage(kind)
    let file = try stage.files.open(stage.path("a"), .create)
    let long = Bytes([UInt8](repeating: 7, count: 5000))
    try file.write(at: 0, ["short", "", long, "tail"])
    #expect(try file.size() == 5009)
    #expect(try file.read(at: 0, count: 5) == "short")
    #expect(try file.read(at: 5, count: 5000) == long)
    #expect(try file.read(at: 5005, count: 100) == "tail")
    #expect(try file.read(at: 5009, count: 10) == "")
    #expect(try file.read(at: 9000, count: 10) == "")
    try file.write(at: 2, "XY")
    #expect(try file.read(at: 0, count: 5) == "shXYt")
    try file.sync()
    try file.write(at: 6000, "far")
    #expect(try file.read(at: 5008, count: 3) == Bytes([UInt8(ascii: "l"), 0, 0]))
    #expect(try file.size() == 6003)
  }

  @Test(arguments: Kind.allCases) func manyPartsGoOutInOrder(kind: Kind) throws {
    let stage = try Stage(kind)
    var random = SeededRandom(seed: 4)
    let file = try stage.files.open(stage.path("a"), .create)
    var expected = ByteWriter()
    var position: Int64 = 0
    for round in 0..<20 {
      let parts = (0..<Int.random(in: 0...300, using: &random)).map { _ in
        patterned(Int.random(in: 0...2500, using: &random), seed: UInt64(round))
      }
      try file.write(at: position, parts)
      for part in parts {
        expected.append(part)
        position += Int64(part.count)
      }
    }
    #expect(try stage.files.contents(of: stage.path("a")) == expected.finish())
  }

  @Test(arguments: Kind.allCases) func severalFilesAreSyncedTogether(kind: Kind) throws {
    let stage = try Stage(kind)
    #expect(stage.files.sync([]).isEmpty)
    for count in [1, 2, 40] {
      let files = try (0..<count).map { index in
        let file = try stage.files.open(stage.path("synced-\(index)"), .create)
        try file.write(at: 0, Bytes("content \(index)"))
        return file
      }
      let errors = stage.files.sync(files)
      #expect(errors.count == count && errors.allSatisfy { $0 == nil })
      for (index, file) in files.enumerated() { #expect(try file.read(at: 0, count: 100) == Bytes("content \(index)")) }
    }
  }

  @Test(arguments: Kind.allCases) func modesAndTruncation(kind: Kind) throws {
    let stage = try Stage(kind)
    let path = stage.path("a")
    #expect(code { _ = try stage.files.open(path, .read) } == .notFound)
    try stage.files.open(path, .readWrite).write(at: 0, "0123456789")
    let file = try stage.files.open(path, .readWrite)
    #expect(try file.size() == 10)
    try file.truncate(to: 4)
    #expect(try stage.files.contents(of: path) == "0123")
    try file.truncate(to: 6)
    #expect(try stage.files.contents(of: path) == Bytes([48, 49, 50, 51, 0, 0]))
    _ = try stage.files.open(path, .create)
    #expect(try stage.files.attributes(path)?.size == 0)
    let reader = try stage.files.open(path, .read)
    #expect(code { try reader.write(at: 0, "no") } == .other(9))
  }

  @Test(arguments: Kind.allCases) func directoriesAndNames(kind: Kind) throws {
    let stage = try Stage(kind)
    try stage.files.createDirectories(stage.path("x/y/z"))
    try stage.files.createDirectories(stage.path("x/y"))
    for name in ["b", "a", "c"] { _ = try stage.files.open(stage.path("x/" + name), .create) }
    #expect(try stage.files.list(stage.path("x")) == ["a", "b", "c", "y"])
    #expect(try stage.files.attributes(stage.path("x"))?.isDirectory == true)
    #expect(try stage.files.attributes(stage.path("x/a"))?.isDirectory == false)
    #expect(try stage.files.attributes(stage.path("x/none")) == nil)
    try stage.files.syncDirectory(stage.path("x"))
    try stage.files.removeFile(stage.path("x/a"))
    #expect(code { try stage.files.removeFile(stage.path("x/a")) } == .notFound)
    #expect(code { try stage.files.removeFile(stage.path("x/y")) } == .isADirectory)
    #expect(code { _ = try stage.files.list(stage.path("none")) } == .notFound)
    #expect(code { _ = try stage.files.list(stage.path("x/b")) } == .notADirectory)
    #expect(code { _ = try stage.files.open(stage.path("x"), .readWrite) } == .isADirectory)
    #expect(code { _ = try stage.files.open(stage.path("x"), .read) } == .isADirectory)
    #expect(code { _ = try stage.files.open(stage.path("x/b/c"), .create) } == .notADirectory)
    #expect(code { _ = try stage.files.open(stage.path("none/c"), .create) } == .notFound)
    #expect(code { try stage.files.createDirectories(stage.path("x/b")) } == .notADirectory)
    let long = String(repeating: "n", count: 300)
    #expect(code { _ = try stage.files.open(stage.path(long), .create) } == .nameTooLong)
    try stage.files.removeTree(stage.path("x"))
    #expect(try stage.files.attributes(stage.path("x")) == nil)
    try stage.files.removeTree(stage.path("x"))
  }

  @Test(arguments: Kind.allCases) func renamesReplace(kind: Kind) throws {
    let stage = try Stage(kind)
    try stage.files.replace(stage.path("a"), with: "one")
    let open = try stage.files.open(stage.path("a"), .read)
    try stage.files.replace(stage.path("a"), with: "two")
    #expect(try stage.files.contents(of: stage.path("a")) == "two")
    #expect(try open.read(at: 0, count: 3) == "one")
    #expect(try stage.files.list(stage.folder) == ["a"])
    #expect(code { try stage.files.rename(stage.path("none"), to: stage.path("b")) } == .notFound)
    try stage.files.createDirectories(stage.path("d/e"))
    try stage.files.rename(stage.path("d"), to: stage.path("f"))
    #expect(try stage.files.list(stage.path("f")) == ["e"])
    try stage.files.createDirectories(stage.path("g"))
    #expect(code { try stage.files.rename(stage.path("g"), to: stage.path("f")) } == .notEmpty)
  }

  @Test(arguments: Kind.allCases) func aLockHasOneHolder(kind: Kind) throws {
    let stage = try Stage(kind)
    let path = stage.path("lock")
    #expect(try stage.files.lockHolder(path) == nil)
    let lock = try stage.files.lock(path, holder: "the first")
    #expect(try stage.files.lockHolder(path) == "the first")
    #expect(code { _ = try stage.files.lock(path, holder: "the second") } == .locked(by: "the first"))
    try lock.update(holder: "the first, on port 1234")
    let error = #expect(throws: FileError.self) { try stage.files.lock(path, holder: "the second") }
    #expect(error?.description == "cannot lock \(path): it is in use by the first, on port 1234")
    #expect(try stage.files.lockHolder(path) == "the first, on port 1234")
    lock.unlock()
    lock.unlock()
    #expect(try stage.files.lockHolder(path) == nil)
    #expect(code { try lock.update(holder: "late") } != nil)
    let second = try stage.files.lock(path, holder: "the second")
    #expect(code { _ = try stage.files.lock(path, holder: "the third") } == .locked(by: "the second"))
    second.unlock()
  }
}
