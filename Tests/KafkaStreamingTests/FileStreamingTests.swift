import Datasets
import Groundwork
import KafkaStreaming
import Simulation
import Streaming
import SystemInterfaces
import Testing

@testable import FileStreaming

/// Topics into text files.
@Suite struct FileStreamingTests {
  private func define(_ context: StreamingContext) {
    context.topicStream("in").saveAsTextFiles("/out/lines", suffix: "txt") { record, line in
      line.append(line: record.value)
    }
  }

  /// All files below a folder, with their lines.
  private func tree(_ job: PathJob, _ folder: String = "/out") throws -> [String: [String]] {
    let files = job.process.world.files
    var found: [String: [String]] = [:]
    for name in try files.list(folder) {
      let path = "\(folder)/\(name)"
      if try files.attributes(path)!.isDirectory {
        let below = try tree(job, path)
        if below.isEmpty { found[path + "/"] = [] }
        found.merge(below) { a, _ in a }
      } else {
        found[path] = String(try files.contents(of: path)).split(separator: "\n").map(String.init)
      }
    }
    return found
  }

  private func loaded(_ values: [String], partitions: Int = 2) throws -> PathHarness {
    let path = try PathHarness()
    try path.createTopic("in", partitions: partitions)
    try path.produce("in", partitions: partitions, values: values)
    return path
  }

  @Test func aBatchIsAFolderOfPartFiles() throws {
    let path = try loaded((0..<20).map { "line \($0)" })
    let job = try PathJob(path, availableNow: true, define)
    #expect(try job.run() == ["ended"])
    let batch = job.batches.first { $0.numRecords > 0 }!
    let folder = "/out/lines-\(batch.batchTime.milliseconds).txt"
    #expect(
      try tree(job) == [
        "\(folder)/_SUCCESS": [],
        "\(folder)/part-00000": stride(from: 0, to: 20, by: 2).map { "line \($0)" },
        "\(folder)/part-00001": stride(from: 1, to: 20, by: 2).map { "line \($0)" },
      ])
    #expect(batch.outputOperations.map(\.recordsWritten) == [20])
  }

  @Test func batchesAndPartitionsWithoutElementsMakeNothing() throws {
    let path = try loaded(["only"], partitions: 3)
    let job = try PathJob(path, define)
    try job.start()
    try job.advance(4)
    try job.stop()
    let files = try tree(job).keys.sorted()
    #expect(files.count == 2 && files[0].hasSuffix("/_SUCCESS") && files[1].hasSuffix("/part-00000"))
  }

  @Test func aTaskThatFailedLeavesNothing() throws {
    struct Broken: Error {}
    let path = try loaded((0..<10).map { "\($0)" })
    let attempts = Cell(0)
    let job = try PathJob(path, availableNow: true) { context in
      context.topicStream("in").saveAsTextFiles("/out/lines") { record, line in
        if record.offset == 3 {
          attempts.value += 1
          if attempts.value <= 3 { throw Broken() }
        }
        line.append(record.value)
      }
    }
    #expect(try job.run() == ["ended"])
    #expect(attempts.value == 5)
    let files = try tree(job)
    #expect(files.count == 3)
    #expect(files.values.flatMap { $0 }.sorted() == (0..<10).map { "\($0)" })
  }

  @Test func aBatchThatFailsLeavesNothingVisible() throws {
    struct Broken: Error {}
    let path = try loaded((0..<10).map { "\($0)" })
    let job = try PathJob(path, availableNow: true) { context in
      let stream = context.topicStream("in")
      stream.saveAsTextFiles("/out/lines") { record, line in line.append(record.value) }
      stream.foreachRDD { batch in if try batch.count() > 0 { throw Broken() } }
    }
    #expect(try job.run().first?.contains("Broken") == true)
    #expect(try tree(job) == ["/out/_temporary-lines/": []])
    #expect(try path.committed("in") == [0, 0])
  }

  @Test func attemptsThatLostAreDiscarded() throws {
    let path = try PathHarness()
    let files = path.userProcess.world.files
    let sink = try TextFileSink(prefix: "/out/lines", suffix: "", files: files, log: { _ in })
    func attempt(_ number: Int) throws -> TaskOutput {
      let task = TaskContext(
        batch: BatchIdentity(number: 1, time: 5000), stage: 1, partition: 0, attempt: number, locals: ExecutorLocals(),
        seed: 1)
      var file = try sink.attempt(task)
      try file.append { $0.append("attempt \(number)\n") }
      return try file.finish()
    }
    let winner = try attempt(0)
    sink.discard(try attempt(1))
    #expect(try files.list("/out/_temporary-lines") == ["batch-1-stage-1-part-0-attempt-0"])
    let outcome = Cell<[String]>([])
    sink.prepare(BatchIdentity(number: 1, time: 5000), [winner]) { prepared in
      guard case .success(let prepared) = prepared else { return outcome.value.append("not prepared") }
      sink.commit(prepared) { outcome.value.append("\($0 as Any)") }
    }
    #expect(outcome.value == ["nil"])
    #expect(try files.list("/out/lines-5000") == ["_SUCCESS", "part-00000"])
    #expect(try String(files.contents(of: "/out/lines-5000/part-00000")) == "attempt 0\n")
    #expect(try files.list("/out/_temporary-lines") == [])
  }

  @Test func aCommitThatFailedHalfWayIsCompleted() throws {
    let path = try loaded((0..<20).map { "\($0)" }, partitions: 4)
    let disk = path.simulation.disk
    // Full for a moment, at the third file.
    disk.inject(DiskFault(.rename, after: 2, pathContains: "_temporary", code: .diskFull))
    let job = try PathJob(path, availableNow: true, define)
    #expect(try job.run() == ["ended"])
    #expect(disk.pendingFaults == 0)
    let files = try tree(job)
    #expect(files.count == 5)
    #expect(files.values.flatMap { $0 }.sorted() == (0..<20).map { "\($0)" }.sorted())
    #expect(try path.committed("in") == [5, 5, 5, 5])
  }

  @Test func aCommitThatCannotBeEndsTheJob() throws {
    let path = try loaded(["a", "b"])
    path.simulation.disk.inject(DiskFault(.rename, pathContains: "_temporary", code: .inputOutput))
    let job = try PathJob(path, availableNow: true, define)
    let end = try job.run()
    #expect(end.first?.contains("files /out/lines-*.txt did not commit") == true, "\(end)")
    #expect(end.first?.contains("the device reported an error") == true, "\(end)")
    #expect(try path.committed("in") == [0, 0])
  }

  /// The process dies when everything is written and nothing is renamed.
  @Test func aCrashBetweenPrepareAndCommitLeavesNothingVisible() throws {
    let path = try loaded((0..<10).map { "\($0)" })
    let job = try PathJob(path, define)
    let process = job.process
    job.context.topicOutputs(in: "second") { process.kill() }
    try job.start()
    try job.advance(3)
    #expect(!process.isAlive && !job.hasEnded)
    let next = try PathJob(path) { context in context.topicStream("in").print() }
    let left = try tree(next)
    #expect(left.keys.allSatisfy { $0.hasPrefix("/out/_temporary-lines.txt/") } && left.count == 2)
    let again = try PathJob(path, availableNow: true, define)
    #expect(try tree(next) == ["/out/_temporary-lines.txt/": []])
    #expect(try again.run() == ["ended"])
    let files = try tree(again)
    #expect(files.count == 3)
    #expect(files.values.flatMap { $0 }.sorted() == (0..<10).map { "\($0)" })
  }

  @Test func aBatchOfTheSameTimeReplacesNothing() throws {
    let path = try PathHarness()
    let files = path.userProcess.world.files
    let sink = try TextFileSink(prefix: "/out/lines", suffix: "", files: files, log: { _ in })
    func commit(_ parts: [Int], _ text: String) throws {
      let batch = BatchIdentity(number: 1, time: 5000)
      let outputs = try parts.map { partition in
        let task = TaskContext(
          batch: batch, stage: 1, partition: partition, attempt: 0, locals: ExecutorLocals(), seed: 1)
        var file = try sink.attempt(task)
        try file.append { $0.append("\(text) \(partition)\n") }
        return try file.finish()
      }
      let errors = Cell<[String]>([])
      sink.prepare(batch, outputs) { prepared in
        guard case .success(let prepared) = prepared else { return errors.value.append("not prepared") }
        sink.commit(prepared) { error in if let error { errors.value.append("\(error)") } }
      }
      #expect(errors.value == [])
    }
    try commit([0, 1, 2], "first")
    try commit([1], "second")
    try commit([0], "third")
    #expect(try files.list("/out/lines-5000") == ["_SUCCESS", "part-00000", "part-00001", "part-00002"])
    #expect(try String(files.contents(of: "/out/lines-5000/part-00001")) == "first 1\n")
    #expect(try files.list("/out/lines-5000-2") == ["_SUCCESS", "part-00001"])
    #expect(try String(files.contents(of: "/out/lines-5000-2/part-00001")) == "second 1\n")
    #expect(try String(files.contents(of: "/out/lines-5000-3/part-00000")) == "third 0\n")
  }

  @Test func outputsOfOneJobDoNotShareFiles() throws {
    let path = try loaded((0..<10).map { "\($0)" }, partitions: 1)
    let job = try PathJob(path, availableNow: true) { context in
      let stream = context.topicStream("in")
      stream.saveAsTextFiles("/out/lines", suffix: "a") { record, line in line.append("a") }
      stream.saveAsTextFiles("/out/lines", suffix: "b") { record, line in line.append("b") }
    }
    #expect(try job.run() == ["ended"])
    let files = try tree(job).sorted { $0.key < $1.key }.filter { $0.key.contains("part-") }
    #expect(files.map(\.value) == [Array(repeating: "a", count: 10), Array(repeating: "b", count: 10)])
    let twice = try PathJob(path) { context in
      let stream = context.topicStream("in")
      stream.saveAsTextFiles("/out/lines")
      stream.saveAsTextFiles("/out/lines")
    }
    let error = #expect(throws: StreamingError.self) { try twice.start() }
    #expect(error?.description.contains("two outputs of this job write files /out/lines-*") == true)
  }

  @Test func aFolderThatCannotBeIsAClearError() throws {
    let path = try loaded(["x"])
    let files = path.userProcess.world.files
    _ = try files.open("/file", .create)
    let job = try PathJob(path) { context in context.topicStream("in").saveAsTextFiles("/file/lines") }
    let error = #expect(throws: StreamingError.self) { try job.start() }
    #expect(
      error?.description.hasPrefix("saveAsTextFiles: cannot ") == true
        && error?.description.hasSuffix("a part of the path is not a folder") == true, "\(error as Any)")
  }

  @Test func aFullDiskIsAClearError() throws {
    let path = try loaded((0..<200).map { "a line of some length \($0)" })
    let disk = path.simulation.makeDisk(named: "small")
    disk.capacity = 1000
    let job = try PathJob(path, availableNow: true, disk: disk, define)
    let end = try job.run()
    #expect(end.first?.contains("the disk is full: free some space or choose another folder") == true, "\(end)")
    #expect(end.first?.contains("/out/_temporary-lines.txt/batch-1-stage-1-part-") == true, "\(end)")
    #expect(try path.committed("in") == [0, 0])
    // The attempts were dropped, so that the disk is not left full.
    #expect(disk.usedBytes < 1000)
  }
}

extension StreamingContext {
  /// An output operation that comes after those defined and calls `body`, once there are records.
  fileprivate func topicOutputs(in label: String, _ body: @escaping @Sendable () -> Void) {
    addOutput(label: label) { frame in
      if frame.plans.contains(where: { $0.records > 0 }) { body() }
    }
  }
}
