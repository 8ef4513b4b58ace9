import Groundwork
import Synchronization

/// A value that tasks read and that is there once, however many tasks use it: a table to look things up in, a model.
///
/// Made by `SluiceContext.broadcast`. Take `value` once a chunk or partition rather than once a record: it is guarded by a
/// lock.
///
/// Sendable: what changes stands under a lock.
public final class Broadcast<Value: Sendable>: Sendable {
  private enum State {
    case there(Value)
    /// Moved to disk.
    case onDisk(SpilledRun)
    case destroyed
  }
  /// Its number within the process, for people.
  public let id: Int
  private let state: Mutex<State>
  private let space: (any SpillSpace)?
  private let frameSize: Int

  init(_ value: Value, id: Int, _ blocks: BlockStore) {
    self.id = id
    state = Mutex(.there(value))
    space = blocks.space
    frameSize = blocks.frameSize
  }

  /// The value. After `unpersist` the first use reads it back.
  /// - Throws: `StorageError` after `destroy`, or where the disk lost the value.
  public var value: Value {
    get throws {
      try state.withLock { state in
        switch state {
        case .there(let value): return value
        case .destroyed: throw StorageError(.destroyed(name: "broadcast \(id)"))
        case .onDisk(let run):
          var read: [Value] = []
          if let codec = ElementCodec<Value>() {
            try run.read(codec, ExecutorLocals()) { read.append(contentsOf: $0) }
          }
          guard let value = read.first else { throw StorageError(.lost("broadcast \(id) in \(run.file.path)")) }
          state = .there(value)
          return value
        }
      }
    }
  }

  /// Frees the memory: the value moves to disk until somebody reads it. It stays in memory where the context has no disk
  /// or the value has no `ElementCodec`.
  /// - Throws: `StorageError` where the disk refuses; the value is then still there.
  public func unpersist() throws {
    guard let space, let codec = ElementCodec<Value>() else { return }
    try state.withLock { state in
      guard case .there(let value) = state else { return }
      let writer = RunWriter(try space.makeFile(), codec, frameSize: frameSize, ExecutorLocals())
      try withUnsafePointer(to: value) { try writer.append($0) }
      let run = SpilledRun(writer.file, try writer.endRun())
      try writer.file.seal()
      state = .onDisk(run)
    }
  }

  /// Frees the value for good: whoever uses it afterwards gets an error.
  public func destroy() {
    let old = state.withLock { state in
      defer { state = .destroyed }
      return state
    }
    withExtendedLifetime(old) {}  // freed here, outside of the lock
  }
}

extension SluiceContext {
  /// Shares a value with all tasks.
  public func broadcast<Value: Sendable>(_ value: Value) -> Broadcast<Value> {
    Broadcast(value, id: blocks.nextNumber(), blocks)
  }
}
