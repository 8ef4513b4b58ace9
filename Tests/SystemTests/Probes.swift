import Groundwork
import LinuxSystem
import SystemInterfaces

/// A number that callbacks of any loop may change.
final class Counter: Sendable {
  private let state = Lock(0)
  var value: Int {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
  func increment() { state.withLock { $0 += 1 } }
}

/// Lines that callbacks of any loop add.
final class Log: Sendable {
  private let state = Lock<[String]>([])
  var lines: [String] { state.withLock { $0 } }
  func add(_ line: String) { state.withLock { $0.append(line) } }
}

/// A value that callbacks of any loop set.
final class Holder<Value: Sendable>: Sendable {
  private let state: Lock<Value>
  init(_ value: Value) { state = Lock(value) }
  var value: Value {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
  func change(_ body: (inout Value) -> Void) { state.withLock { body(&$0) } }
}

/// A frame as it stands on the wire: a 4-byte big-endian length before the bytes.
func framed(_ bytes: Bytes) -> Bytes {
  var writer = ByteWriter(capacity: bytes.count + 4)
  writer.append(bigEndian: UInt32(bytes.count))
  writer.append(bytes)
  return writer.finish()
}

/// Bytes in which no two neighbourhoods look alike, made quickly also without optimisation.
func patterned(_ count: Int, seed: UInt64 = 1) -> Bytes {
  var random = SeededRandom(seed: seed)
  var writer = ByteWriter(capacity: count + 8)
  while writer.count < count { writer.append(bigEndian: random.next()) }
  return writer.finish()[0..<count]
}
