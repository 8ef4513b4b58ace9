import Codecs
import Datasets
import Groundwork
import JobScheduling
import Simulation
import Streaming
import Synchronization
import SystemInterfaces
import Testing

/// A context over a simulated disk: tests put files there, run actions, and look at what came out.
final class Desk {
  let simulation: SimulatedWorld
  let process: SimulatedProcess
  let context: SluiceContext
  private let loop: SimulatedLoop

  init(seed: UInt64 = 1, parallelism: Int = 2, executors: Int = 2, mode: SimulatedRunner.Mode = .spread) {
    simulation = SimulatedWorld(seed: seed)
    process = simulation.makeProcess(named: "job", executors: executors)
    process.runner.mode = mode
    loop = process.makeLoop(named: "driver")
    context = SluiceContext(
      runner: DAGScheduler(loop: loop, runner: process.runner), defaultParallelism: parallelism)
    context.attachments.put(AttachedFiles(process.world.files))
  }

  var files: any FileStore { process.world.files }
  var disk: SimulatedDisk { simulation.disk }

  /// Runs `body` where actions may be called.
  func run<Output: Sendable>(_ body: @escaping @Sendable (SluiceContext) throws -> Output) throws -> Output {
    let answer = Cell<Result<Output, any Error>?>(nil)
    let context = context
    loop.post { answer.value = Result { try body(context) } }
    try simulation.run { answer.value != nil }
    return try answer.value!.get()
  }

  func put(_ path: String, _ content: Bytes) throws {
    try files.createDirectories(String(path[..<path.lastIndex(of: "/")!]))
    try files.open(path, .create).write(at: 0, content)
  }

  func put(_ path: String, _ text: String) throws { try put(path, Bytes(text)) }

  func text(_ path: String) throws -> String { String(try files.contents(of: path)) }

  /// All files below a folder, with their content; folders without files end in a slash.
  func tree(_ folder: String) throws -> [String: String] {
    guard let attributes = try files.attributes(folder) else { return [:] }
    guard attributes.isDirectory else { return [folder: try text(folder)] }
    var found: [String: String] = [:]
    let names = try files.list(folder)
    if names.isEmpty { found[folder + "/"] = "" }
    for name in names { found.merge(try tree("\(folder)/\(name)")) { a, _ in a } }
    return found
  }
}

/// A value that closures of a test share.
final class Cell<Value: Sendable>: Sendable {
  private let state: Mutex<Value>
  init(_ value: Value) { state = Mutex(value) }
  var value: Value {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}

/// Compressed by our own codecs, in one piece or several.
func compressed(_ text: Bytes, _ codec: CompressionCodec, pieces: Int = 1) throws -> Bytes {
  var writer = ByteWriter()
  let workspace = CodecWorkspace()
  for piece in 0..<pieces {
    let part = text[text.count * piece / pieces..<text.count * (piece + 1) / pieces]
    writer.append(try workspace.compress(part.copied, with: codec))
  }
  return writer.finish()
}
