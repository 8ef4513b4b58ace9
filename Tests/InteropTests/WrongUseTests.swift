import Groundwork
import KafkaProtocol
import LinuxSystem
import SystemInterfaces
import Testing

extension InteropTests {
  /// Each mistake is one clear line and an exit code.
  @Suite struct WrongUse {
    /// A tmpfs, unmounted with the object. Root may mount; where the machine refuses, the test fails with its text.
    private final class Mount {
      let path: String

      init(_ path: String, options: String) throws {
        self.path = path
        try Scratch.files.createDirectories(path)
        let mounted = try run("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path])
        guard mounted.exit.isSuccess else {
          throw SetupFailure(
            "cannot mount a small tmpfs to fill it (run the tests as root, in a container with CAP_SYS_ADMIN): "
              + mounted.error)
        }
      }

      deinit { _ = try? run("umount", [path]) }
    }

    /// A broker with a topic `lines` of two megabytes.
    private static func stage() throws -> (Scratch, OwnBroker) {
      let scratch = try Scratch()
      let broker = try OwnBroker(in: scratch)
      let client = LiveClient(broker.address)
      try client.createTopics([("lines", 1)])
      let line = Bytes(String(repeating: "a line that fills the disk ", count: 38))
      try client.produce(Array(repeating: TestRecord(key: nil, value: line), count: 2000), to: "lines", codec: .zstd)
      return (scratch, broker)
    }

    private static func etl(_ scratch: Scratch, _ broker: Address, to folder: String, topic: String = "lines") throws
      -> Finished
    {
      try run(
        Program.path("KafkaToFiles"),
        ["--bootstrap-server", "\(broker)", "--topic", topic, "--to", folder, "--available-now"],
        environment: scratch.environment)
    }

    @Test func anUnwritableFolder() throws {
      let (scratch, broker) = try Self.stage()
      let mount = try Mount(scratch.path + "/readonly", options: "ro,size=64k")
      let job = try Self.etl(scratch, broker.address, to: mount.path + "/out")
      #expect(job.exit == .code(1), "\(job.report)")
      #expect(
        job.error.contains("\(mount.path)/out")
          && job.error.contains("the file system is read-only: choose another folder"),
        "\(job.report)")
      let blocked = try scratch.write("file", "not a folder")
      let other = try Self.etl(scratch, broker.address, to: blocked + "/out")
      #expect(other.exit == .code(1), "\(other.report)")
      #expect(other.error.contains("a part of the path is not a folder"), "\(other.report)")
    }

    @Test func aFullDisk() throws {
      let (scratch, broker) = try Self.stage()
      let mount = try Mount(scratch.path + "/small", options: "size=512k")
      let job = try Self.etl(scratch, broker.address, to: mount.path + "/out")
      #expect(job.exit == .code(1), "\(job.report)")
      #expect(job.error.contains("the disk is full: free some space or choose another folder"), "\(job.report)")
      #expect(job.error.contains(mount.path), "\(job.report)")
      // Nothing that was not whole was taken for done: on a larger disk the job does all of it.
      let again = try Self.etl(scratch, broker.address, to: scratch.path + "/out")
      #expect(again.exit == .code(0), "\(again.report)")
      #expect(try Scratch.lines(under: scratch.path + "/out").count == 2000)
    }

    /// The job says so at once, and goes on where space is made.
    @Test func aFullDiskUnderTheBroker() throws {
      let scratch = try Scratch()
      let mount = try Mount(scratch.path + "/small", options: "size=4m")
      let ballast = mount.path + "/ballast"
      try Scratch.files.open(ballast, .create).write(
        at: 0, Bytes(String(repeating: "b", count: (4 << 20) - (192 << 10))))
      let errors = scratch.path + "/errors.txt"
      let job = try ChildProcess(
        Program.path("FlightDelays"),
        ["--play", "1s", "--output", scratch.path + "/out", "--conf", "sluice.broker.data=\(mount.path)/broker"],
        environment: scratch.environment, output: .pipe, error: .file(errors))
      let watch = Watchdog(job, 60)
      func said() throws -> String { String(try Scratch.files.contents(of: errors)) }
      try waitUntil("the job says that the disk is full") {
        try said().contains("the disk is full") || job.exitNow != nil
      }
      let line = try said().split(separator: "\n").first { $0.contains("the disk is full") } ?? ""
      #expect(line.hasPrefix("FlightDelays: the embedded broker: cannot write \(mount.path)"), "\(line)")
      try Scratch.files.removeFile(ballast)
      let ended = finish(job)
      watch.disarm()
      let lines = try said().split(separator: "\n")
      #expect(ended.exit == .code(0), "\(ended.report) \(lines)")
      #expect(lines.count { $0.contains("the disk is full") } < 20, "\(lines)")
      #expect(try Scratch.lines(under: scratch.path + "/out").count == 27_004)
      let rows = ended.text.split(separator: "\n").map { $0.split(separator: " ").prefix(3).joined(separator: " ") }
      #expect(rows.contains("all 27004 521"), "\(ended.report)")
    }

    @Test func anUnreachableBroker() throws {
      let scratch = try Scratch()
      // Port 1 needs privileges to listen on, and nobody does.
      let job = try Self.etl(scratch, Address(host: "127.0.0.1", port: 1), to: scratch.path + "/out")
      #expect(job.exit == .code(1), "\(job.report)")
      #expect(job.error.contains("127.0.0.1:1"), "\(job.report)")
      #expect(job.error.contains(#/after \d+ ?s/#), "\(job.report)")
    }

    @Test func anUnknownTopic() throws {
      let (scratch, broker) = try Self.stage()
      let job = try Self.etl(scratch, broker.address, to: scratch.path + "/out", topic: "linse")
      #expect(job.exit == .code(1), "\(job.report)")
      #expect(job.error.contains("linse"), "\(job.report)")
    }

    @Test func aSecondJobOfTheSameName() throws {
      let (scratch, broker) = try Self.stage()
      let arguments = [
        "--bootstrap-server", "\(broker.address)", "--topic", "lines", "--to", scratch.path + "/out", "--name", "twin",
        "--roll-age", "200ms",
      ]
      let first = try ChildProcess(
        Program.path("KafkaToFiles"), arguments, environment: scratch.environment, output: .pipe, error: .pipe)
      let watch = Watchdog(first, 60)
      defer {
        first.send(.kill)
        first.wait()
        watch.disarm()
      }
      // It holds its lock as soon as the lock's file names it.
      let lock = scratch.path + "/state/sluice/jobs/twin.lock"
      try waitUntil("the first job holds its lock") {
        (try? Scratch.files.contents(of: lock))?.contains("pid \(first.pid)" as Bytes) == true || first.exitNow != nil
      }
      let second = try run(Program.path("KafkaToFiles"), arguments, environment: scratch.environment)
      #expect(second.exit == .code(1), "\(second.report)")
      #expect(second.error.contains("a job named twin runs already"), "\(second.report)")
      #expect(second.error.contains("pid \(first.pid)"), "\(second.report)")
      // The first is not disturbed, and ends in order when asked, once it is at work.
      try waitUntil("the first job has written") {
        try Scratch.lines(under: scratch.path + "/out").count == 2000 || first.exitNow != nil
      }
      first.send(.terminate)
      let ended = finish(first)
      #expect(ended.exit == .code(143), "\(ended.report)")
    }
  }
}
