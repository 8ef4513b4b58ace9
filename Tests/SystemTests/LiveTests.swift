import Glibc
import Groundwork
import LinuxSystem
import Synchronization
import SystemInterfaces
import Testing

/// What only real threads and files can show.
struct LiveTests {
  /// Each of two tasks waits, spinning, until the other has begun: only overlap in time lets both see it.
  @Test func twoTasksOverlapInTime() throws {
    let stage = try Stage(.live, executors: 2)
    let begun = Holder<Set<Int>>([])
    let overlapped = Counter()
    let executors = Holder<Set<Int>>([])
    let isDone = Holder(false)
    stage.loop.post { [stage] in
      let tasks = (0..<2).map { number in
        ExecutorTask(weight: 10_000_000) { executor in
          executors.change { $0.insert(executor.rawValue) }
          begun.change { $0.insert(number) }
          let limit = ContinuousClock.now + .seconds(10)
          while ContinuousClock.now < limit {
            if begun.value.count == 2 {
              overlapped.increment()
              return
            }
          }
        }
      }
      stage.world.runner.submit(tasks, from: stage.loop) { isDone.value = true }
    }
    try stage.wait("both tasks") { isDone.value }
    #expect(overlapped.value == 2)
    #expect(executors.value == [0, 1])
  }

  @Test func aSmallSubmissionRunsInsideTheCall() throws {
    let stage = try Stage(.live, executors: 2)
    let log = Log()
    let loop = stage.loop
    _ = try stage.perform { [world = stage.world] in
      let tasks = (0..<6).map { number in
        ExecutorTask(weight: 1000) { executor in
          log.add("task \(number) on \(executor.rawValue), on the loop: \(loop.isCurrent)")
        }
      }
      world.runner.submit(tasks, from: loop) { log.add("done, on the loop: \(loop.isCurrent)") }
      log.add("submitted")
      return 0
    }
    try stage.wait("the end") { log.lines.count == 8 }
    #expect(
      log.lines == (0..<6).map { "task \($0) on 0, on the loop: true" } + ["submitted", "done, on the loop: true"])
  }

  /// Many submissions of all sizes, one after the other: every task runs once, `done` once, after all of its tasks.
  @Test func everyTaskRunsOnce() throws {
    let stage = try Stage(.live, executors: 3)
    let (loop, runner) = (stage.loop, stage.world.runner)
    let tasksRun = Counter()
    let wrong = Counter()
    let finished = Holder(false)
    let rounds = 2000
    @Sendable func round(_ number: Int) {
      if number == rounds { return finished.value = true }
      let count = number % 7
      let ran = Counter()
      let weight: Int64 = number % 3 == 0 ? 1_000_000 : number % 3 == 1 ? 20_000 : 10
      let tasks = (0..<count).map { _ in
        ExecutorTask(weight: weight) { _ in
          ran.increment()
          tasksRun.increment()
        }
      }
      runner.submit(tasks, from: loop) {
        if ran.value != count { wrong.increment() }
        round(number + 1)
      }
    }
    loop.post { round(0) }
    try stage.wait("2,000 submissions") { finished.value }
    #expect(wrong.value == 0)
    #expect(tasksRun.value == (0..<rounds).reduce(0) { $0 + $1 % 7 })
  }

  /// A disk without room: a limit on the size of files stands for it, since making a small file system needs root.
  @Test func aFullDiskIsToldAsSuch() throws {
    let stage = try Stage(.live)
    let outcome = try ChildProcess.run(
      "sh", ["-c", "ulimit -f 8; trap '' XFSZ; dd if=/dev/zero of=\(stage.path("big")) bs=1024 count=64"])
    #expect(outcome.exit != .code(0))
    let full = try LinuxFileStore().open("/dev/full", .readWrite)
    let error = #expect(throws: FileError.self) { try full.write(at: 0, "bytes") }
    #expect(error?.code == .diskFull)
    #expect(
      error?.description
        == "cannot write /dev/full: the disk is full: free some space or choose another folder")
  }

  /// On a real file system of 64 KiB, where this process may mount one.
  @Test func aSmallFileSystemFills() throws {
    let stage = try Stage(.live)
    let mounted = try ChildProcess.run("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", stage.folder])
    guard mounted.exit.isSuccess else {
      // Without the right to mount, a mount namespace of our own is the other way to it.
      let text = "dd if=/dev/zero of=$0/x bs=4096 count=64; echo; stat -c %s $0/x"
      let outcome = try ChildProcess.run(
        "unshare", ["-rm", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs $0 && " + text, stage.folder])
      #expect(outcome.error.contains("No space left"), "neither mount nor unshare worked: \(mounted.error)")
      return
    }
    defer { _ = try? ChildProcess.run("umount", [stage.folder]) }
    let file = try stage.files.open(stage.path("log"), .create)
    let block = Bytes([UInt8](repeating: 1, count: 10_000))
    var position: Int64 = 0
    let error = #expect(throws: FileError.self) {
      while position < 1 << 20 {
        try file.write(at: position, block)
        position += 10_000
      }
    }
    #expect(error?.code == .diskFull)
    #expect(position >= 40_000 && position < 70_000)
    #expect(try file.read(at: 0, count: 10_000) == block)
  }

  /// A peer written with plain calls, which sends its request and closes its sending side, gets its answer.
  @Test func aHalfClosedPeerGetsItsAnswer() throws {
    let stage = try Stage(.live)
    let (loop, transport) = (stage.loop, stage.transport)
    let (_, address) = try transport.listen(
      on: Address(host: "127.0.0.1", port: 0), framing: .lengthPrefixed(maximum: 100), loop: loop
    ) { connection, _ in
      { event in
        if case .received(let frame) = event {
          transport.send(connection, [.bytes(framed(frame)), .bytes(Bytes([UInt8](repeating: 9, count: 1 << 20)))])
        }
      }
    }
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fd) }
    var peer = sockaddr_in()
    peer.sin_family = sa_family_t(AF_INET)
    peer.sin_port = UInt16(address.port).bigEndian
    peer.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let connected = withUnsafePointer(to: &peer) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    #expect(connected == 0)
    let request = Array(framed("ping"))
    #expect(write(fd, request, request.count) == 8)
    shutdown(fd, Int32(SHUT_WR))
    var answer = [UInt8](repeating: 0, count: (1 << 20) + 100)
    var filled = 0
    while filled < answer.count {
      let got = answer.withUnsafeMutableBytes { read(fd, $0.baseAddress! + filled, $0.count - filled) }
      if got <= 0 { break }
      filled += got
    }
    #expect(filled == (1 << 20) + 8)
    #expect(answer.starts(with: request))
  }

  /// A frame that claims 1 GB and sends little must not cost 1 GB.
  @Test func aClaimIsNotAllocated() throws {
    let stage = try Stage(.live)
    let (loop, transport) = (stage.loop, stage.transport)
    let heard = Log()
    let (_, address) = try transport.listen(
      on: Address(host: "127.0.0.1", port: 0), framing: .lengthPrefixed(maximum: 1 << 30), loop: loop
    ) { _, _ in { heard.add("\($0)") } }
    let before = ThisProcess.peakMemory
    for _ in 0..<20 {
      let connection = Holder<ConnectionID?>(nil)
      _ = try stage.perform {
        connection.value = transport.connect(to: address, framing: .stream, on: loop) { event in
          guard case .opened = event, let connection = connection.value else { return }
          transport.send(connection, [.bytes(Bytes([0x3F, 0xFF, 0xFF, 0xFF] + [UInt8](repeating: 1, count: 100)))])
          transport.close(connection)
        }
        return 0
      }
    }
    try stage.wait("20 ends") { heard.lines.filter { $0.hasPrefix("closed") }.count == 20 }
    #expect(ThisProcess.peakMemory - before < 256 << 20)
  }

  @Test func connectionsOfAStoppedLoopAreClosed() throws {
    let stage = try Stage(.live)
    let other = EpollLoop(named: "other")
    let transport = stage.transport
    let heard = Log()
    let (_, address) = try transport.listen(
      on: Address(host: "127.0.0.1", port: 0), framing: .stream, loop: stage.loop
    ) { _, _ in { heard.add("\($0)") } }
    other.post { _ = transport.connect(to: address, framing: .stream, on: other) { _ in } }
    try stage.wait("the connection") { heard.lines == ["opened"] }
    other.stop()
    other.waitUntilEnded()
    try stage.wait("the end") { heard.lines.count == 2 }
    #expect(heard.lines[1].hasPrefix("closed"))
  }
}
