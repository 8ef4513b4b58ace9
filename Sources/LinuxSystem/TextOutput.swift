import CPrimitives
import Glibc
import Groundwork
import SystemInterfaces

/// One of the standard output streams: writes are whole, from any thread, never interleaved within one call.
///
/// A reader that goes away (`… | head`) is not an error of ours: what follows is thrown away and `isBroken` says so.
public final class TextOutput: Sendable {
  /// When bytes go to the system.
  public enum Buffering: Sendable {
    /// Each call writes at once.
    case none
    /// Whole lines are written at once, the rest waits.
    case lines
    /// Until `flush`, or 64 KiB.
    case full
  }

  private struct State {
    var buffer: [UInt8] = []
    var isBroken = false
    var failure: Int32?
  }

  /// The file descriptor; not closed with the object.
  public let descriptor: Int32
  private let buffering: Buffering
  private let state = Lock(State())

  /// Takes a descriptor that is open for writing and stays open.
  /// - Parameter buffering: when bytes go to the system; with any but `.none`, call `flush` before the process ends.
  public init(_ descriptor: Int32, buffering: Buffering = .none) {
    self.descriptor = descriptor
    self.buffering = buffering
  }

  /// Standard output: by lines on a terminal, else in blocks of 64 KiB; call `flush` before the end.
  public static let standard = TextOutput(1, buffering: isatty(1) == 1 ? .lines : .full)
  /// Standard error, unbuffered.
  public static let error = TextOutput(2)

  /// Whether somebody looks at a terminal.
  public var isTerminal: Bool { isatty(descriptor) == 1 }
  /// The terminal's width in columns; nil where it is none.
  public var width: Int? {
    let width = sluice_terminal_width(descriptor)
    return width > 0 ? Int(width) : nil
  }
  /// The reader has gone.
  public var isBroken: Bool { state.withLock { $0.isBroken } }
  /// The first other failure to write, such as a full disk; nil where there was none.
  public var failure: ProcessError? {
    state.withLock { $0.failure }.map { ProcessError(Errno($0), "the output \(descriptor)") }
  }

  /// Writes text as UTF-8. Failures are remembered in `isBroken` and `failure`, never thrown.
  public func write(_ text: String) {
    var text = text
    text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
  }

  /// Writes text and a line end, in one go.
  public func writeLine(_ text: String) { write(text + "\n") }
  /// Writes the bytes as they are. Blocks while the reader is slow, when the buffering asks for a write.
  public func write(_ bytes: Bytes) { bytes.withUnsafeBytes { write($0) } }

  /// Writes bytes and a line end, in one go.
  public func writeLine(_ bytes: Bytes) {
    state.withLock { state in
      bytes.withUnsafeBytes { state.buffer.append(contentsOf: $0) }
      state.buffer.append(10)
      settle(&state)
    }
  }

  /// Writes the bytes as they are; they are copied into the buffer and not referred to afterwards.
  public func write(_ bytes: UnsafeRawBufferPointer) {
    state.withLock { state in
      state.buffer.append(contentsOf: bytes)
      settle(&state)
    }
  }

  /// Writes what is buffered, an unfinished line included.
  public func flush() { state.withLock { put(&$0, $0.buffer.count) } }

  private func settle(_ state: inout State) {
    switch buffering {
    case .none: put(&state, state.buffer.count)
    case .full: if state.buffer.count >= 65_536 { put(&state, state.buffer.count) }
    case .lines:
      if let end = state.buffer.lastIndex(of: 10) { put(&state, end + 1) }
    }
  }

  /// Writes the first `count` bytes of the buffer.
  private func put(_ state: inout State, _ count: Int) {
    guard count > 0 else { return }
    if !state.isBroken, state.failure == nil {
      let descriptor = descriptor
      do throws(Errno) {
        let whole = state.buffer
        let result: Result<Void, Errno> = whole.withUnsafeBytes { bytes in
          do throws(Errno) {
            return .success(try System.writeAll(descriptor, UnsafeRawBufferPointer(rebasing: bytes[..<count])))
          } catch { return .failure(error) }
        }
        try result.get()
      } catch {
        if error.rawValue == EPIPE { state.isBroken = true } else { state.failure = error.rawValue }
      }
    }
    state.buffer.removeFirst(count)
  }
}
