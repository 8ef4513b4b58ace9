import Codecs
import Groundwork
import KafkaProtocol
import LinuxSystem
import LogBroker
import Synchronization
import SystemInterfaces

/// The embedded broker in this process, on a loop of its own; it ends with the object.
final class OwnBroker: Sendable {
  let address: Address
  let data: String
  private let loop = EpollLoop(named: "test broker")
  private let broker: Broker

  init(in scratch: Scratch) throws {
    data = scratch.path + "/broker"
    var configuration = BrokerConfiguration(dataDirectory: data, processID: Int(ThisProcess.pid))
    configuration.listenAddress = Address(host: "127.0.0.1", port: 0)
    broker = Broker(world: liveWorld, loop: loop, configuration: configuration)
    address = try broker.start()
  }

  deinit { broker.stop { [loop] in loop.stop() } }
}

/// A `sluice broker` process on 127.0.0.1; it ends with the object.
final class BrokerProcess: Sendable {
  let data: String
  let address: Address
  private let scratch: Scratch
  private let settings: [String]
  private let child: Mutex<ChildProcess?>

  /// - Parameters:
  ///   - data: its folder, where it is not to be a new one.
  ///   - settings: of the broker, such as `num.partitions=4`.
  init(in scratch: Scratch, data folder: String? = nil, seed: UInt64 = 1, settings: [String] = []) throws {
    self.scratch = scratch
    self.settings = settings.flatMap { ["--config", $0] }
    data = folder ?? scratch.path + "/broker-process"
    var random = SeededRandom(seed: seed ^ UInt64(ThisProcess.pid))
    var last = ""
    for _ in 0..<20 {
      // Below the ports the kernel hands out (32768 and up): no client's connection, not even one that tries to come
      // back, may have taken the port when the broker starts again.
      let candidate = Address(host: "127.0.0.1", port: 20_000 + Int(random.next() % 12_000))
      switch try BrokerProcess.start(candidate, data, scratch, self.settings) {
      case .success(let started):
        address = candidate
        child = Mutex(started)
        return
      case .failure(let failure): last = failure.description
      }
    }
    throw SetupFailure("`sluice broker` did not start on any of 20 ports: \(last)")
  }

  deinit {
    child.withLock {
      $0?.send(.kill)
      $0?.wait()
    }
  }

  private static func start(
    _ address: Address, _ data: String, _ scratch: Scratch, _ settings: [String]
  ) throws -> Result<ChildProcess, SetupFailure> {
    let errors = scratch.path + "/broker-errors.txt"
    let child = try ChildProcess(
      Program.path("sluice"), ["broker", "--listen", "\(address)", "--data", data] + settings,
      environment: scratch.environment, output: .pipe, error: .file(errors, appending: true))
    let watch = Watchdog(child, 30)
    let line = child.nextLine() ?? ""
    watch.disarm()
    if line.contains("\(address)") { return .success(child) }
    child.send(.kill)
    child.wait()
    let said = (try? Scratch.files.contents(of: errors)).map { String($0) } ?? ""
    return .failure(SetupFailure("\(address): `\(line)` \(said.suffix(500))"))
  }

  /// `kill -9`, and the wait for the end.
  func kill() {
    child.withLock {
      $0?.send(.kill)
      $0?.wait()
      $0 = nil
    }
  }

  /// Starts it again, on the same port and folder.
  func restart() throws {
    kill()
    switch try BrokerProcess.start(address, data, scratch, settings) {
    case .success(let started): child.withLock { $0 = started }
    case .failure(let failure): throw failure
    }
  }
}

/// The record batches in a partition's segment files, as they stand on the disk; the markers of transactions are left out.
enum Disk {
  static func batches(_ data: String, _ topic: String, _ partition: Int = 0) throws -> [RecordBatch] {
    let folder = "\(data)/topics/\(topic)-\(partition)"
    var found: [RecordBatch] = []
    for name in try Scratch.files.list(folder) where name.hasSuffix(".log") {
      var sequence = RecordBatchSequence(try Scratch.files.contents(of: "\(folder)/\(name)"))
      while let batch = try sequence.next() {
        if !batch.header.isControl { found.append(batch) }
      }
      if sequence.trailingBytes > 0 { throw SetupFailure("\(folder)/\(name) ends with a part of a batch") }
    }
    return found
  }

  static func codecs(_ data: String, _ topic: String, partitions: Int = 1) throws -> Set<CompressionCodec> {
    var codecs: Set<CompressionCodec> = []
    for partition in 0..<partitions {
      for batch in try batches(data, topic, partition) where !batch.header.isControl {
        codecs.insert(try batch.header.codec)
      }
    }
    return codecs
  }

  /// Whether a partition's batches are compressed as asked. librdkafka leaves a batch as it is where compression would
  /// not make it smaller, and where its batches end is a matter of its threads: such a one counts too, others do not.
  static func isCompressed(_ data: String, _ topic: String, with asked: CompressionCodec) throws -> Bool {
    let workspace = CodecWorkspace()
    var carriesCodec = false
    for batch in try batches(data, topic, 0) {
      if try batch.header.codec == asked {
        carriesCodec = true
        continue
      }
      guard try batch.header.codec == .none else { return false }
      let content = batch.bytes[RecordBatchLayout.records..<batch.bytes.count]
      guard try workspace.compress(content, with: asked).count >= content.count else { return false }
    }
    return carriesCodec
  }

  /// Records with their offsets.
  static func records(_ data: String, _ topic: String, _ partition: Int = 0) throws -> [(
    offset: Offset, record: TestRecord
  )] {
    let workspace = CodecWorkspace()
    var found: [(Offset, TestRecord)] = []
    for batch in try batches(data, topic, partition) where !batch.header.isControl {
      try batch.forEachRecord(using: workspace) { record in
        found.append((record.offset, TestRecord(key: record.key?.copied, value: record.value?.copied)))
      }
    }
    return found
  }
}
