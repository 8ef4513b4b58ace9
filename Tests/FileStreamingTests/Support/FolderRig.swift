import Codecs
import Datasets
import Groundwork
import Simulation
import SystemInterfaces

@testable import FileStreaming

/// A rolling sink on a simulated disk with a driver of a few lines: batches are made, prepared, decided, and run again
/// after a crash, as the rules of a batch's commit say.
final class FolderRig {
  /// One line of a batch: where it goes and what it is.
  struct Line: Equatable {
    var partition: Int
    var directory: String
    var text: String
  }

  let simulation: SimulatedWorld
  let isDeciding: Bool
  var rolling: RollingPolicy
  var codec: CompressionCodec
  var header = ""
  var limits = FolderManifest.Limits(bytes: 1, placedFiles: 2)
  var memoryMax = 64 << 20
  var job = "test"
  private(set) var process: SimulatedProcess
  private(set) var files: HookedFiles
  private(set) var sink: RollingFileSink!
  let logged = Cell<[String]>([])
  /// What the other decider has decided, durably.
  private(set) var decided: Int64 = 0

  init(
    seed: UInt64, isDeciding: Bool, rolling: RollingPolicy = RollingPolicy(size: 120, age: .seconds(5)),
    codec: CompressionCodec = .none, simulation: SimulatedWorld? = nil
  ) {
    let simulation = simulation ?? SimulatedWorld(seed: seed)
    self.simulation = simulation
    self.isDeciding = isDeciding
    self.rolling = rolling
    self.codec = codec
    process = simulation.makeProcess(named: "job")
    files = HookedFiles(process.world.files)
  }

  func setDecided(_ number: Int64) { decided = number }

  struct Failed: Error, CustomStringConvertible {
    var description: String
    var cause: any Error
  }

  /// A new process on the same disk.
  func restart() {
    process = simulation.makeProcess(named: "job")
    files = HookedFiles(process.world.files)
    sink = nil
  }

  /// Opens the folder and settles it.
  /// - Returns: the number of the last decided batch.
  @discardableResult
  func start() throws -> Int64 {
    var settings = FolderWriter.Settings(folder: "/out", job: job)
    settings.rolling = rolling
    settings.ending = ".txt" + (try FileCompression.ending(codec))
    if !header.isEmpty { settings.header = try CodecWorkspace().compress(Bytes(header), with: codec) }
    settings.limits = limits
    let logged = logged
    sink = RollingFileSink(settings, codec: codec, memoryMax: memoryMax, files: files) { logged.value.append($0) }
    try answer { sink.open(SinkOpening(job: job, isDeciding: isDeciding), then: $0) }
    if isDeciding {
      let last = Cell<Result<Decision?, any Error>?>(nil)
      sink.takeOver { last.value = $0 }
      guard let decision = try last.value!.get() else {
        try answer { sink.recover(through: nil, then: $0) }
        return 0
      }
      guard decision.record == Bytes("record \(decision.batch)") else {
        throw Failed(
          description: "the record of batch \(decision.batch) is \(decision.record)", cause: CancellationError())
      }
      try answer { sink.recover(through: decision.batch, then: $0) }
      return decision.batch.rawValue
    }
    try answer { sink.recover(through: decided == 0 ? nil : BatchNumber(decided), then: $0) }
    return decided
  }

  func answer(_ call: (@escaping @Sendable ((any Error)?) -> Void) -> Void) throws {
    let cell = Cell<(any Error)??>(nil)
    call { cell.value = .some($0) }
    guard let answered = cell.value else { throw Failed(description: "no answer", cause: CancellationError()) }
    if let error = answered { throw error }
  }

  func identity(_ number: Int64) -> BatchIdentity {
    BatchIdentity(number: BatchNumber(number), time: Timestamp(milliseconds: number * 1000))
  }

  /// What the tasks of a batch hand over.
  func outputs(_ number: Int64, _ lines: [Line]) throws -> [TaskOutput] {
    let partitions = Set(lines.map(\.partition)).sorted()
    return try partitions.map { partition in
      let task = TaskContext(
        batch: identity(number), stage: 1, partition: partition, attempt: 0, locals: ExecutorLocals())
      var writer = sink.pieceWriter(task)
      for line in lines where line.partition == partition {
        var key = ByteWriter()
        key.append(line.directory)
        let buffer = writer.buffer(for: key) { line.directory }
        buffer.writer.append(line.text + "\n")
        try writer.added(1, to: buffer)
      }
      return try writer.finish()
    }
  }

  func prepare(_ number: Int64, _ lines: [Line]) throws -> any PreparedOutput {
    let outputs = try outputs(number, lines)
    let cell = Cell<Result<any PreparedOutput, any Error>?>(nil)
    sink.prepare(identity(number), outputs) { cell.value = $0 }
    switch cell.value! {
    case .success(let prepared): return prepared
    case .failure(let error):
      for output in outputs { sink.discard(output) }
      throw error
    }
  }

  /// One batch from its tasks to its end.
  func run(_ number: Int64, _ lines: [Line]) throws {
    let prepared = try prepare(number, lines)
    try finish(number, prepared, isEmpty: lines.isEmpty)
  }

  func finish(_ number: Int64, _ prepared: any PreparedOutput, isEmpty: Bool) throws {
    if isDeciding {
      if !isEmpty {
        let decision = Decision(batch: BatchNumber(number), record: Bytes("record \(number)"))
        try decide(decision, [prepared])
      } else {
        try answer { sink.commit(prepared, then: $0) }
      }
    } else {
      decided = number
      try answer { sink.commit(prepared, then: $0) }
    }
    sink.batchCompleted(at: identity(number).time)
  }

  func decide(_ decision: Decision, _ prepared: [any PreparedOutput]) throws {
    let cell = Cell<DecisionOutcome?>(nil)
    sink.decide(decision, prepared) { cell.value = $0 }
    switch cell.value! {
    case .decided: return
    case .aborted(let error): throw Failed(description: "aborted: \(error)", cause: error)
    case .unknown(let error): throw Failed(description: "unknown: \(error)", cause: error)
    }
  }

  /// Ends the job as it should; where the process died over the last batch's names, another one does so.
  func endAlive() throws {
    files.hook = nil
    if !process.isAlive {
      restart()
      try start()
    }
    sink.end()
    // A manifest whose sync failed takes no more entries: the next start closes what is open.
    guard try report().committed.contains(where: { $0.phase != .placed }) else { return }
    process.kill()
    restart()
    try start()
    sink.end()
  }

  // MARK: What is there

  /// A process that only looks.
  func reader() -> any FileStore { simulation.makeProcess(named: "reader").world.files }

  /// The epoch of the folder's manifest.
  var epoch: Int64 { (try? report().epoch) ?? 0 }

  func report() throws -> FolderReport { try FolderReport(directory: "/out", files: reader()) }

  /// The committed text of each directory, file after file.
  func committed() throws -> [String: String] {
    let files = reader()
    var texts: [String: String] = [:]
    for file in try report().committed {
      let path = try files.attributes("/out/\(file.path)") == nil ? file.hiddenPath : file.path
      let content = try files.contents(of: "/out/\(path)")
      guard Int64(content.count) >= file.length else { return ["short": path] }
      texts[file.directory, default: ""] += try plain(content[0..<Int(file.length)])
    }
    return texts
  }

  private func plain(_ bytes: Bytes) throws -> String {
    codec == .none ? String(bytes) : String(try CodecWorkspace().decompress(bytes, with: codec, limit: 1 << 30))
  }

  /// The text of each directory as a plain reader sees it: files without a hidden name, by name.
  func visible() throws -> [String: String] {
    let files = reader()
    var texts: [String: String] = [:]
    func visit(_ folder: String, _ directory: String) throws {
      for name in try files.list(folder) where !PathPattern.isHidden(name) {
        let path = "\(folder)/\(name)"
        if try files.attributes(path)?.isDirectory == true {
          try visit(path, directory.isEmpty ? name : "\(directory)/\(name)")
        } else {
          texts[directory, default: ""] += try plain(try files.contents(of: path))
        }
      }
    }
    try visit("/out", "")
    return texts
  }
}

/// Batches from a seed, and what a folder must hold after them.
struct FolderModel {
  var batches: [[FolderRig.Line]] = []
  /// How often they were planned anew.
  private var plans = 0

  init(seed: UInt64, batches count: Int, directories: Int = 3, linesMax: Int = 5) {
    var random = SeededRandom(seed: seed)
    for batch in 1...count {
      var lines: [FolderRig.Line] = []
      if random.next() % 6 != 0 {
        for partition in 0..<2 {
          for line in 0..<Int(random.next() % UInt64(linesMax)) {
            let directory = ["", "a", "b/c"][Int(random.next() % UInt64(directories))]
            let length = Int(random.next() % 20)
            lines.append(
              .init(
                partition: partition, directory: directory,
                text: "\(batch)-\(partition)-\(line) " + String(repeating: "x", count: length)))
          }
        }
      }
      batches.append(lines)
    }
  }

  /// Plans the batches from a number on anew: other lines, and fewer and shorter ones, as where a power loss has taken the
  /// plans.
  mutating func shrink(from number: Int64) {
    plans += 1
    for index in batches.indices.dropFirst(Int(number) - 1) {
      batches[index] = batches[index].dropLast(batches[index].count / 3).map { line in
        let name = line.text.prefix { $0 != " " }.split(separator: ".").last ?? ""
        return FolderRig.Line(partition: line.partition, directory: line.directory, text: "\(plans).\(name)")
      }
    }
  }

  /// The text of each directory when the batches up to a number count.
  func text(through last: Int64) -> [String: String] {
    var texts: [String: String] = [:]
    for lines in batches.prefix(Int(last)) {
      for line in lines { texts[line.directory, default: ""] += line.text + "\n" }
    }
    return texts
  }
}
