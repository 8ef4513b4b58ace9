import Datasets
import Glibc
import Groundwork
import JobScheduling
import LinuxSystem
import Streaming
import Synchronization
import SystemInterfaces
import Testing

@testable import FileStreaming

/// Real sockets, real files, real threads.
@Suite struct LiveTests {
  /// Lines that a server sends go into files; the files, moved into a folder, are another stream; both end well.
  @Test func linesFromASocketIntoFilesAndBack() throws {
    let folder = "/tmp/sluice-files-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    let live = LiveWorld.make(executors: 2)
    let files = live.world.files
    defer {
      try? files.removeTree(folder)
      live.stop()
    }
    try files.createDirectories("\(folder)/in")
    let loop = EpollLoop(named: "test driver")
    let serverLoop = EpollLoop(named: "test server")
    let count = 20_000
    let transport = live.world.transport
    let (_, address) = try transport.listen(
      on: Address(host: "127.0.0.1", port: 0), framing: .stream, loop: serverLoop
    ) { connection, _ in
      { event in
        guard case .opened = event else { return }
        var text = ByteWriter()
        for number in 0..<count { text.append("line \(number)\n") }
        transport.send(connection, [.bytes(text.finish())])
      }
    }
    let scheduler = DAGScheduler(loop: loop, runner: live.world.runner)
    let sluice = SluiceContext(runner: scheduler, defaultParallelism: 2)
    let ended = Cell<[String]>([])
    let fromSocket = Atomic<Int>(0)
    let fromFiles = Atomic<Int>(0)
    let whole = Cell<[String]>([])
    let context = try StreamingContext(
      sluice: sluice, batchInterval: .milliseconds(50),
      environment: StreamingEnvironment(
        world: live.world, loop: loop, scheduler: scheduler, jobName: "live", checkpointDirectory: "\(folder)/state",
        settings: [
          "sluice.streaming.receiver.writeAheadLog.enable": "true", "sluice.streaming.blockInterval": "10ms",
        ]))
    let done = Atomic<Bool>(false)
    loop.post {
      let lines = context.socketTextStream("127.0.0.1", address.port)
      lines.saveAsTextFiles("\(folder)/out/lines")
      lines.foreachRDD { batch in
        let lines = try batch.collect()
        guard !lines.isEmpty else { return }
        let number = fromSocket.add(lines.count, ordering: .relaxed).newValue
        // Atomically: written beside, then moved in.
        var text = ByteWriter()
        for line in lines {
          text.append(line)
          text.append(UInt8(ascii: "\n"))
        }
        try files.open("\(folder)/in/.\(number)", .create).write(at: 0, text.finish())
        try files.rename("\(folder)/in/.\(number)", to: "\(folder)/in/\(number)")
      }
      context.textFileStream("\(folder)/in").foreachRDD { batch in
        if fromFiles.add(try batch.count(), ordering: .relaxed).newValue >= count { context.stop() }
      }
      do {
        try context.start { error in
          ended.value.append(error.map { "\($0)" } ?? "ended")
          if let saved = try? sluice.textFile("\(folder)/out/lines-*").collect() {
            whole.value = saved.map { String($0) }
          }
          done.store(true, ordering: .releasing)
        }
      } catch {
        ended.value.append("\(error)")
        done.store(true, ordering: .releasing)
      }
    }
    let limit = ContinuousClock.now + .seconds(60)
    while !done.load(ordering: .acquiring), ContinuousClock.now < limit { sched_yield() }
    #expect(ended.value == ["ended"])
    #expect(fromSocket.load(ordering: .relaxed) == count)
    #expect(fromFiles.load(ordering: .relaxed) == count)
    #expect(whole.value == (0..<count).map { "line \($0)" })
    loop.stop()
    serverLoop.stop()
    loop.waitUntilEnded()
    serverLoop.waitUntilEnded()
  }
}
