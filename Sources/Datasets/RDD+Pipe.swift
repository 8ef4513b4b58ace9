import Groundwork
import Synchronization

/// Runs external commands for `pipe`. Datasets know of no processes: whoever wires a context hands one of these to it.
public protocol CommandRunner: AnyObject, Sendable {
  /// Starts a command and returns at once.
  /// - Parameters:
  ///   - command: the program, looked up in PATH, and its arguments; no shell comes in between.
  ///   - environment: variables set beside this process's own.
  ///   - input: what the command reads as its standard input.
  ///   - then: is called once, on any thread, with what it printed on its standard output, or with why it failed: it
  ///     could not be started, or ended with another status than 0.
  func run(
    _ command: [String], environment: [String: String], input: Bytes,
    then: @escaping @Sendable (Result<Bytes, any Error>) -> Void)
}

/// Hangs a command runner onto a context.
private final class AttachedCommands: Sendable {
  let runner: any CommandRunner
  init(_ runner: any CommandRunner) { self.runner = runner }
}

extension SluiceContext {
  /// From now on `pipe` runs its commands by this.
  package func attach(_ commands: any CommandRunner) { attachments.put(AttachedCommands(commands)) }
}

extension RDD {
  /// Each partition sent through an external command: its elements as lines of the command's standard input, the lines
  /// of its standard output as elements of the result.
  ///
  /// A task never blocks: it reports the command as input that it misses, the driver runs the command beside the tasks
  /// and then the task again, which finds the output. So the dataset before is computed once more than otherwise only
  /// where the command fails, and a partition's input and output stand in memory as a whole. An attempt whose command
  /// ends with another status than 0 has failed.
  /// - Parameters:
  ///   - command: the program, looked up in PATH, and its arguments; no shell comes in between.
  ///   - environment: variables set beside the job's own.
  ///   - line: the line that an element becomes, without its end.
  public func pipe(
    _ command: [String], environment: [String: String] = [:], line: @escaping @Sendable (Element) throws -> Bytes
  ) -> RDD<Bytes> {
    guard !command.isEmpty else {
      return .failing(context, DatasetError(.badArgument("name a command"), operation: "pipe"))
    }
    let outputs = PipeOutputs()
    return RDD<Bytes>(
      context, label: "pipe", partitionCount: partitionCount, dependencies: [.narrow(self)]
    ) { [self] partition, task, emit in
      guard let output = outputs[partition] else {
        guard let commands = context.attachments.get(AttachedCommands.self) else {
          throw DatasetError(
            .badArgument("this context cannot run commands; jobs that the sluice command starts can"),
            operation: "pipe")
        }
        var input: [UInt8] = []
        try compute(partition, task) { view in
          for element in view {
            try line(element).withUnsafeBytes { input.append(contentsOf: $0) }
            input.append(UInt8(ascii: "\n"))
          }
        }
        throw InputMissing(
          PipeRun(
            commands: commands.runner, command: command, environment: environment, input: Bytes(input),
            partition: partition, outputs: outputs))
      }
      // Kept until an attempt has done all its work with it.
      task.addCompletionListener { if $0.failure == nil { outputs[partition] = nil } }
      var chunk = Chunk<Bytes>()
      let lines = output.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      for line in lines {
        chunk.append(line)
        guard chunk.count > Chunk<Bytes>.usualCapacity else { continue }
        // The last one may be no line but what stands behind the last end of a line.
        try chunk.emitAllButLast(emit)
      }
      if output.last == UInt8(ascii: "\n") || output.isEmpty {
        try chunk.emitAllButLast(emit)
      } else {
        try emit(chunk.view)
      }
    }
  }

  /// Each partition sent through an external command, a line an element; see `pipe(_:environment:line:)`.
  public func pipe(_ command: [String], environment: [String: String] = [:]) -> RDD<Bytes> where Element == Bytes {
    pipe(command, environment: environment) { $0 }
  }

  /// Each partition sent through an external command, a line an element; see `pipe(_:environment:line:)`.
  public func pipe(_ command: [String], environment: [String: String] = [:]) -> RDD<String> where Element == String {
    pipe(command, environment: environment) { Bytes($0) }.map { String($0) }
  }
}

extension Chunk where Element == Bytes {
  /// Hands over all elements but the last, which stays as the only one.
  fileprivate mutating func emitAllButLast(_ emit: (UnsafeBufferPointer<Bytes>) throws -> Void) throws {
    guard let last = view.last else { return }
    if count > 1 { try emit(UnsafeBufferPointer(rebasing: view[..<(count - 1)])) }
    clear()
    append(last)
  }
}

/// What commands printed, by partition, until a task has read it.
private final class PipeOutputs: Sendable {
  private let outputs = Mutex<[Int: Bytes]>([:])
  subscript(partition: Int) -> Bytes? {
    get { outputs.withLock { $0[partition] } }
    set { outputs.withLock { $0[partition] = newValue } }
  }
}

/// A command that has to run before a task can go on.
private struct PipeRun: FetchableInput {
  let commands: any CommandRunner
  let command: [String]
  let environment: [String: String]
  let input: Bytes
  let partition: Int
  let outputs: PipeOutputs

  var summary: String { "the output of '\(command.joined(separator: " "))' for partition \(partition)" }

  func fetch(then: @escaping @Sendable ((any Error)?) -> Void) {
    commands.run(command, environment: environment, input: input) { [outputs, partition] result in
      switch result {
      case .success(let output):
        outputs[partition] = output
        then(nil)
      case .failure(let error): then(error)
      }
    }
  }
}
