import Datasets
import Groundwork
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import FileStreaming

/// Batches as folders of files.
@Suite struct BatchFolderTests {
  @Test func batchesAreSavedAsObjectsAndText() throws {
    let harness = try FolderHarness(checkpoint: nil, settings: [:])
    let queue = QueueSource<Int>()
    for batch in [[1, 2, 3], [], [4]] { queue.append(batch) }
    let stream = harness.context.queueStream(queue, partitions: 2)
    stream.saveAsObjectFiles("/out/objects")
    stream.saveAsTextFiles("/out/text", suffix: "txt", codec: .gzip) { $1.append("number \($0)") }
    try harness.start()
    try harness.advance(4)
    try harness.stop()
    #expect(harness.end == ["ended"])
    let folders = try harness.files.list("/out")
    #expect(folders.count == 4, "\(folders)")
    let desk = Desk()
    for folder in folders {
      for name in try harness.files.list("/out/\(folder)") {
        try desk.put("/out/\(folder)/\(name)", try harness.files.contents(of: "/out/\(folder)/\(name)"))
      }
    }
    let numbers: [Int] = try desk.run { try $0.objectFile("/out/objects-*").collect() }
    #expect(numbers == [1, 2, 3, 4])
    let lines = try desk.run { try $0.textFile("/out/text-*.txt").collect().map { String($0) } }
    #expect(lines == ["number 1", "number 2", "number 3", "number 4"])
    #expect(folders.filter { $0.hasPrefix("text-") }.allSatisfy { $0.hasSuffix(".txt") })
    #expect(try harness.files.list("/out/\(folders.last!)").contains("part-00001.gz"))
  }

  /// Moving and syncing may take long: the driver's loop does not stand still for it.
  @Test func filesAreMovedBesideTheDriversLoop() throws {
    let simulation = SimulatedWorld(seed: 4)
    let process = simulation.makeProcess(named: "job")
    let driver = process.makeLoop(named: "driver")
    let helper = HelperLoop(named: "files", runner: process.runner)
    let sink = try TextFileSink(
      prefix: "/out/lines", suffix: "", files: process.world.files, helper: (helper, driver), log: { _ in })
    let task = TaskContext(
      batch: BatchIdentity(number: 1, time: 5000), stage: 1, partition: 0, attempt: 0, locals: ExecutorLocals(),
      seed: 1)
    var file = try sink.attempt(task)
    try file.append { $0.append("a\n") }
    let output = try file.finish()
    let events = Cell<[String]>([])
    let files = process.world.files
    sink.prepare(task.batch, [output]) { prepared in
      guard case .success(let prepared) = prepared else { return events.value.append("not prepared") }
      sink.commit(prepared) { error in events.value.append("committed \(error == nil) on the loop \(driver.isCurrent)")
      }
      events.value.append("asked, \((try? files.list("/out/lines-5000")) == nil ? "nothing" : "something") moved")
    }
    #expect(events.value == ["asked, nothing moved"])
    try simulation.run { events.value.count == 2 }
    #expect(events.value[1] == "committed true on the loop true")
    #expect(try files.list("/out/lines-5000") == ["_SUCCESS", "part-00000"])
    helper.stop()
  }
}
