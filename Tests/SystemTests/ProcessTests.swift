import Glibc
import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

/// Child processes, signals and standard streams.
struct ProcessTests {
  @Test func outputErrorAndCodeComeBack() throws {
    let outcome = try ChildProcess.run(
      "sh", ["-c", "cat; echo $NAME-$0-$HOME >&2; pwd; exit 7", "argument"],
      environment: ["NAME": "value", "HOME": nil], directory: "/usr", input: "from here\n")
    #expect(outcome.exit == .code(7) && outcome.exit.shellCode == 7)
    #expect(outcome.output == "from here\n/usr\n")
    #expect(outcome.error == "value-argument-\n")
  }

  @Test func muchOutputOnBothPipesAtOnce() throws {
    let outcome = try ChildProcess.run(
      "sh", ["-c", "head -c 300000 /dev/zero >&2; head -c 400000 /dev/zero; cat | wc -c"],
      input: Bytes([UInt8](repeating: 1, count: 500_000)))
    #expect(outcome.error.utf8.count == 300_000)
    #expect(outcome.output.hasSuffix("500000\n"))
  }

  @Test func aSignalEndsAChild() throws {
    let stage = try Stage(.live)
    let child = try ChildProcess("sh", ["-c", "echo ready; exec cat"], input: .pipe, output: .pipe)
    #expect(child.nextLine() == "ready")
    #expect(child.exitNow == nil && ThisProcess.isAlive(pid: child.pid))
    let exit = Holder<ChildProcess.Exit?>(nil)
    child.onExit(stage.loop) { exit.value = $0 }
    #expect(child.write("echo\n") && child.nextLine() == "echo")
    child.send(.kill)
    try stage.wait("the exit") { exit.value != nil }
    #expect(exit.value == .signal(9) && exit.value?.shellCode == 137)
    #expect(child.wait() == .signal(9) && child.nextLine() == nil)
    child.send(.kill)
  }

  @Test func whatCannotBeRunSaysWhy() throws {
    let error = #expect(throws: ProcessError.self) { try ChildProcess("/no/such/program") }
    #expect(
      error?.description
        == "cannot run /no/such/program: there is no such program, or its working folder is missing")
    #expect(throws: ProcessError.self) { try ChildProcess("/etc/passwd") }
  }

  @Test func filesAsStreams() throws {
    let stage = try Stage(.live)
    try stage.files.replace(stage.path("in"), with: "one\ntwo\n")
    for _ in 0..<2 {
      let child = try ChildProcess(
        "sh", ["-c", "cat; echo bad >&2"], input: .file(stage.path("in")),
        output: .file(stage.path("out"), appending: true), error: .file(stage.path("err")))
      #expect(child.wait() == .code(0))
    }
    #expect(try stage.files.contents(of: stage.path("out")) == "one\ntwo\none\ntwo\n")
    #expect(try stage.files.contents(of: stage.path("err")) == "bad\n")
  }

  /// Descriptors of ours must not leak into children: a pipe held open by a stranger never ends.
  @Test func aChildInheritsThreeDescriptors() throws {
    let stage = try Stage(.live)
    let file = try stage.files.open(stage.path("open"), .create)
    let outcome = try ChildProcess.run("sh", ["-c", "ls /proc/self/fd"])
    // The fourth is of ls itself, reading the folder.
    #expect(outcome.output == "0\n1\n2\n3\n")
    withExtendedLifetime(file) {}
  }

  /// Signals go to a child that runs this very check, since the whole test process shares its handlers.
  @Test func signalsComeAsCalls() throws {
    let stage = try Stage(.live)
    let loop = try #require(stage.loop as? EpollLoop)
    let log = Log()
    let watcher = try SignalWatcher([.hangup], on: loop) { log.add("\($0)") }
    _ = try stage.perform { 0 }
    kill(getpid(), SIGHUP)
    try stage.wait("the first") { log.lines.count == 1 }
    kill(getpid(), SIGHUP)
    try stage.wait("the second") { log.lines.count == 2 }
    #expect(log.lines == ["hangup", "hangup"])
    watcher.stop()
    // Under nohup.
    signal(SIGHUP, SIG_IGN)
    let second = try SignalWatcher([.hangup, .continuation], on: loop) { log.add("\($0)") }
    _ = try stage.perform { 0 }
    kill(getpid(), SIGHUP)
    kill(getpid(), SIGCONT)
    try stage.wait("the third") { log.lines.count == 3 }
    #expect(log.lines.last == "continuation")
    second.stop()
    signal(SIGHUP, SIG_DFL)
  }

  @Test func linesComeInBlocksOnRequest() throws {
    let stage = try Stage(.live)
    var text = ""
    for number in 0..<50_000 { text += "line \(number)" + (number % 3 == 0 ? "\r\n" : "\n") }
    let long = String(repeating: "x", count: 700_000)
    try stage.files.replace(stage.path("in"), with: Bytes(text + long + "\n\nlast"))
    let lines = Holder<[Bytes]>([])
    let blocks = Counter()
    let end = Log()
    let reader = Holder<LineReader?>(nil)
    reader.value = try LineReader(path: stage.path("in"), on: stage.loop) { event in
      switch event {
      case .lines(let more):
        blocks.increment()
        lines.change { $0 += more }
      case .end: end.add("end")
      case .lineTooLong, .failed: end.add("\(event)")
      }
    }
    #expect(blocks.value == 0)
    reader.value?.request()
    try stage.wait("the first block") { blocks.value == 1 }
    #expect(lines.value.count < 50_000)
    for _ in 0..<100 { reader.value?.request() }
    try stage.wait("the end") { !end.lines.isEmpty }
    #expect(end.lines == ["end"])
    #expect(lines.value.count == 50_003)
    let expected = (0..<50_000).map { Bytes("line \($0)") } + [Bytes(long), "", "last"]
    #expect(lines.value == expected)
    let limited = Log()
    let strict = try LineReader(path: stage.path("in"), on: stage.loop, lineMax: 300_000) { event in
      if case .lines = event { return }
      limited.add("\(event)")
    }
    for _ in 0..<100 { strict.request() }
    try stage.wait("the refusal") { !limited.lines.isEmpty }
    #expect(limited.lines == ["lineTooLong(line: 50001, max: 300000)"])
    #expect(throws: FileError.self) { try LineReader(path: stage.path("none"), on: stage.loop) { _ in } }
  }

  @Test func outputIsWholeAndSurvivesAReaderThatLeaves() throws {
    let stage = try Stage(.live)
    let path = stage.path("out")
    let fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    let output = TextOutput(fd, buffering: .full)
    for number in 0..<20_000 { output.writeLine("line \(number)") }
    output.writeLine(Bytes("bytes"))
    output.flush()
    close(fd)
    let text = String(try stage.files.contents(of: path))
    #expect(text == (0..<20_000).map { "line \($0)\n" }.joined() + "bytes\n")
    #expect(!output.isTerminal && output.width == nil && !output.isBroken)
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    for fd in ends { _ = fcntl(fd, F_SETFD, FD_CLOEXEC) }
    close(ends[0])
    let broken = TextOutput(ends[1], buffering: .lines)
    broken.write("half a line")
    #expect(!broken.isBroken)
    broken.writeLine(", whole")
    #expect(broken.isBroken && broken.failure == nil)
    broken.writeLine("into the void")
    close(ends[1])
    let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
    let failing = TextOutput(full)
    failing.writeLine("no room")
    #expect(failing.failure != nil && !failing.isBroken)
    close(full)
  }

  @Test func aProgramRunsBesideItsCaller() async throws {
    let long = String(repeating: "line\n", count: 100_000)
    let (exit, output, _) = try await withCheckedThrowingContinuation { continuation in
      ChildProcess.start("tr", ["a-z", "A-Z"], input: Bytes(long)) { continuation.resume(with: $0) }
    }
    #expect(exit == .code(0))
    #expect(output == Bytes(long.uppercased()))
    // It does not read: what is written to it goes nowhere.
    let (failed, _, error) = try await withCheckedThrowingContinuation { continuation in
      ChildProcess.start("sh", ["-c", "echo trouble >&2; exit 3"], input: Bytes(long)) {
        continuation.resume(with: $0)
      }
    }
    #expect(failed == .code(3) && error == "trouble\n")
    await #expect(throws: ProcessError.self) {
      try await withCheckedThrowingContinuation { continuation in
        ChildProcess.start("no-such-program", input: Bytes()) { continuation.resume(with: $0) }
      }
    }
  }

  @Test func theProcessKnowsItself() {
    #expect(ThisProcess.isAlive(pid: ThisProcess.pid) && !ThisProcess.isAlive(pid: 0))
    #expect(ThisProcess.executablePath?.hasPrefix("/") == true)
    #expect(ThisProcess.environment("PATH") != nil && ThisProcess.environment("NO SUCH NAME") == nil)
    #expect(ThisProcess.currentDirectory.hasPrefix("/"))
    #expect(!ThisProcess.hostName.isEmpty)
    #expect(LiveWorld.processorCount > 0 && ThisProcess.peakMemory > 1 << 20 && ThisProcess.processorTime > 0)
  }
}
