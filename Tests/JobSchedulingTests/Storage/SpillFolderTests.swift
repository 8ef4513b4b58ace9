import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import JobScheduling

/// The folder of spilled data: one a process, cleaned after the dead, believing no byte that was not written.
@Suite struct SpillFolderTests {
  private let locals = ExecutorLocals()

  private func write(_ texts: [String], to file: any SpillFile) throws -> [SpillFrame] {
    let frames = try texts.map { text in try Bytes(text).withUnsafeBytes { try file.append($0, locals) } }
    try file.seal()
    return frames
  }

  @Test func framesComeBackAsTheyWereWritten() throws {
    let world = SimulatedWorld(seed: 1)
    let files = world.makeProcess(named: "engine").world.files
    let folder = try SpillFolder(files, in: "/local", owner: "1")
    do {
      let texts = ["", "short", String(repeating: "compressible ", count: 5000)]
      let file = try folder.makeFile()
      let frames = try write(texts, to: file)
      #expect(frames[2].storedCount * 20 < frames[2].count)
      #expect(folder.fileCount == 1)
      let reader = try file.open()
      for index in [2, 0, 1, 2] { #expect(String(try reader.read(frames[index], locals)) == texts[index]) }
    }
    #expect(folder.fileCount == 0)
    #expect(try files.list("/local/spill-1") == ["owner.lock"])
    folder.remove()
    #expect(try files.list("/local") == [])
  }

  @Test func foldersOfTheDeadAreRemovedAndThoseOfTheLivingStay() throws {
    let world = SimulatedWorld(seed: 2)
    let dead = world.makeProcess(named: "dead")
    let alive = world.makeProcess(named: "alive")
    let lost = try SpillFolder(dead.world.files, in: "/local", owner: "11")
    let kept = try SpillFolder(alive.world.files, in: "/local", owner: "12")
    let lostFile = try lost.makeFile()
    _ = try write(["x"], to: lostFile)
    let keptFile = try kept.makeFile()
    let frames = try write(["y"], to: keptFile)
    dead.kill()
    let next = try SpillFolder(world.makeProcess(named: "next").world.files, in: "/local", owner: "13")
    #expect(try alive.world.files.list("/local") == ["spill-12", "spill-13"])
    #expect(String(try keptFile.open().read(frames[0], locals)) == "y")
    withExtendedLifetime((lost, next)) {}
  }

  @Test func whatIsGoneOrChangedIsLostAndWhatCannotBeWrittenIsAnError() throws {
    let world = SimulatedWorld(seed: 3)
    let files = world.makeProcess(named: "engine").world.files
    let folder = try SpillFolder(files, in: "/local", owner: "1")
    func expectLost(_ what: String, _ damage: (String) throws -> Void) throws {
      let file = try folder.makeFile()
      let frames = try write([String(repeating: "some text \(what)", count: 100)], to: file)
      try damage(file.path)
      do {
        _ = try file.open().read(frames[0], locals)
        Issue.record("\(what): no error")
      } catch {
        guard case .lost = error.code else {
          Issue.record("\(what): \(error)")
          return
        }
        #expect(error.isRetriable)
      }
    }
    try expectLost("removed") { try files.removeFile($0) }
    try expectLost("cut") { try files.open($0, .readWrite).truncate(to: 3) }
    try expectLost("changed") { try files.open($0, .readWrite).write(at: 5, Bytes("?")) }
    world.disk.inject(DiskFault(.read, code: .inputOutput))
    try expectLost("unreadable") { _ in }

    world.disk.inject(DiskFault(.write, code: .diskFull, isTorn: true))
    do {
      let file = try folder.makeFile()
      _ = try write(["x"], to: file)
      Issue.record("no error")
    } catch let error as StorageError {
      #expect("\(error)".contains("the disk is full: free some space"))
      #expect(error.isRetriable)
    }
    #expect(folder.fileCount == 0)
  }

  @Test func durableFilesAppearWhole() throws {
    let world = SimulatedWorld(seed: 4)
    let files = world.makeProcess(named: "engine").world.files
    let folder = try SpillFolder(files, in: "/local", owner: "1")
    do {
      let unfinished = try folder.makeDurableFile("b", in: "/checkpoint")
      _ = try Bytes("half").withUnsafeBytes { try unfinished.append($0, locals) }
    }
    let frames: [SpillFrame]
    do {
      let file = try folder.makeDurableFile("a", in: "/checkpoint")
      frames = try write(["whole"], to: file)
      try folder.write("the list", in: "/checkpoint")
    }
    world.disk.losePower()
    #expect(try files.list("/checkpoint") == ["a", "manifest"])
    #expect(String(try folder.contents(of: "manifest", in: "/checkpoint")) == "the list")
    let again = try folder.durableFile("a", in: "/checkpoint").open()
    #expect(String(try again.read(frames[0], locals)) == "whole")
  }
}
