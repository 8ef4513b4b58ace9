import CPrimitives
import Dispatch
import Glibc
import Groundwork
import Synchronization
import SystemInterfaces

/// What a `LineReader` tells.
public enum LineEvent: Sendable {
  /// Lines without their ends, slices of one block of memory: a line that is kept for long should be copied.
  case lines([Bytes])
  /// All has been read; the last line was told even without an end.
  case end
  /// A line is longer than the maximum, counted from 1; nothing follows.
  case lineTooLong(line: Int, max: Int)
  /// The file could not be opened or read; nothing follows.
  case failed(FileError)
}

/// Reads lines of standard input, or of a file or pipe, on a thread of its own, and hands them to a loop in blocks.
///
/// Each `request` lets one block come: whoever is full does not ask, and the writer of the pipe waits.
///
/// Sendable: `stopping`'s descriptor is set once; what the thread works with stays in its function.
public final class LineReader: Sendable {
  private let credits = DispatchSemaphore(value: 0)
  private let isStopped = Atomic<Bool>(false)
  private let stopEvent: Int32

  /// Starts to read.
  /// - Parameters:
  ///   - path: a file; nil is standard input.
  ///   - loop: where `handler` is called.
  ///   - separator: the byte that ends a line; a carriage return before a line feed is dropped.
  ///   - lineMax: bytes a line may have.
  public init(
    path: String? = nil, on loop: any Loop, separator: UInt8 = 10, lineMax: Int = 64 << 20,
    _ handler: @escaping @Sendable (LineEvent) -> Void
  ) throws(FileError) {
    var fd: Int32 = 0
    if let path {
      do throws(Errno) {
        fd = Int32(try System.call { open(path, O_RDONLY | O_CLOEXEC) })
      } catch {
        throw error.fileError(path, "open")
      }
    }
    stopEvent = sluice_event_create()
    let source = fd
    DispatchQueue(label: "sluice.lines").async {
      self.run(source, path ?? "standard input", loop, separator, lineMax, handler)
      if source != 0 { System.close(source) }
    }
  }

  deinit { System.close(stopEvent) }

  /// Lets one more block of lines come.
  public func request() { credits.signal() }

  /// Nothing more is told, save what is under way; the rest of the input is left alone.
  public func stop() {
    isStopped.store(true, ordering: .relaxed)
    var one: UInt64 = 1
    _ = try? System.call { write(stopEvent, &one, 8) }
    credits.signal()
  }

  private func run(
    _ fd: Int32, _ name: String, _ loop: any Loop, _ separator: UInt8, _ lineMax: Int,
    _ handler: @escaping @Sendable (LineEvent) -> Void
  ) {
    var arena = Arena(capacity: 256 * 1024)
    var filled = 0
    var lineNumber = 0
    while true {
      // One block a request.
      credits.wait()
      var lines: [Bytes] = []
      while lines.isEmpty {
        guard waitForInput(fd), !isStopped.load(ordering: .relaxed) else { return }
        let got: Int
        do throws(Errno) {
          got = try System.call { read(fd, arena.base + filled, arena.capacity - filled) }
        } catch {
          if error.rawValue == EAGAIN { continue }
          let failure = error.fileError(name, "read")
          return loop.post { handler(.failed(failure)) }
        }
        if got == 0 {
          let rest = Bytes(arena, offset: 0, count: filled)
          return loop.post {
            if !rest.isEmpty { handler(.lines([rest])) }
            handler(.end)
          }
        }
        let block = Bytes(arena, offset: 0, count: filled + got)
        var start = 0
        // The part before `filled` was searched before.
        var end = block.firstIndex(ofByte: separator, from: filled)
        while end < block.count {
          let isReturn = separator == 10 && end > start && block[end - 1] == 13
          lines.append(block[start..<(isReturn ? end - 1 : end)])
          start = end + 1
          end = block.firstIndex(ofByte: separator, from: start)
        }
        lineNumber += lines.count
        // What is left begins the next block, in memory that no line points into.
        let rest = filled + got - start
        if rest > lineMax {
          let number = lineNumber + 1
          return loop.post { handler(.lineTooLong(line: number, max: lineMax)) }
        }
        if lines.isEmpty, arena.capacity - rest >= 64 * 1024 {
          filled = rest
          continue
        }
        let next = Arena(capacity: max(256 * 1024, rest * 2))
        next.base.copyMemory(from: arena.base + start, byteCount: rest)
        arena = next
        filled = rest
      }
      let told = lines
      loop.post { handler(.lines(told)) }
    }
  }

  /// - Returns: false where the reader was stopped.
  private func waitForInput(_ fd: Int32) -> Bool {
    var waiting = [
      pollfd(fd: fd, events: Int16(POLLIN), revents: 0), pollfd(fd: stopEvent, events: Int16(POLLIN), revents: 0),
    ]
    guard (try? System.call { poll(&waiting, 2, -1) }) != nil else { return true }
    return waiting[1].revents == 0
  }
}
