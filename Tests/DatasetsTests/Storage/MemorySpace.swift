import Datasets
import Groundwork
import Synchronization

/// A disk in memory that counts what is on it, and loses what it is told to.
final class MemorySpace: SpillSpace {
  struct State {
    var live = 0
    var made = 0
    var frames = 0
    var bytes = 0
    var durable: [String: Bytes] = [:]
    var durableFiles: [String: MemoryFile] = [:]
    /// Appends that still succeed; nil: all.
    var appendsLeft: Int?
    var isLossy = false
  }
  let state = Mutex(State())

  var live: Int { state.withLock { $0.live } }
  var made: Int { state.withLock { $0.made } }
  var bytes: Int { state.withLock { $0.bytes } }

  func makeFile() throws(StorageError) -> any SpillFile {
    state.withLock {
      $0.live += 1
      $0.made += 1
    }
    return MemoryFile("spill", self, isDurable: false)
  }

  func makeDurableFile(_ name: String, in folder: String) throws(StorageError) -> any SpillFile {
    MemoryFile("\(folder)/\(name)", self, isDurable: true)
  }

  func durableFile(_ name: String, in folder: String) throws(StorageError) -> any SpillFile {
    guard let file = state.withLock({ $0.durableFiles["\(folder)/\(name)"] }) else {
      throw StorageError(.lost("\(folder)/\(name)"))
    }
    return file
  }

  func write(_ manifest: Bytes, in folder: String) throws(StorageError) {
    state.withLock { $0.durable["\(folder)/manifest"] = manifest }
  }

  func contents(of name: String, in folder: String) throws(StorageError) -> Bytes {
    guard let bytes = state.withLock({ $0.durable["\(folder)/\(name)"] }) else {
      throw StorageError(.lost("\(folder)/\(name)"))
    }
    return bytes
  }
}

/// The frames of one file.
final class MemoryFile: SpillFile {
  let path: String
  private let space: MemorySpace
  private let isDurable: Bool
  private let frames = Mutex<[Bytes]>([])

  init(_ path: String, _ space: MemorySpace, isDurable: Bool) {
    self.path = path
    self.space = space
    self.isDurable = isDurable
  }

  deinit { if !isDurable { space.state.withLock { $0.live -= 1 } } }

  func append(_ bytes: UnsafeRawBufferPointer, _ locals: ExecutorLocals) throws(StorageError) -> SpillFrame {
    let isFull = space.state.withLock { state in
      if state.appendsLeft == 0 { return true }
      if let left = state.appendsLeft { state.appendsLeft = left - 1 }
      state.frames += 1
      state.bytes += bytes.count
      return false
    }
    if isFull { throw StorageError(.disk("the disk is full", isRetriable: true)) }
    let copy = Bytes(copying: bytes)
    let position = frames.withLock { frames in
      frames.append(copy)
      return frames.count - 1
    }
    return SpillFrame(position: Int64(position), storedCount: bytes.count, count: bytes.count, checksum: 0)
  }

  func seal() throws(StorageError) {
    if isDurable { space.state.withLock { $0.durableFiles[path] = self } }
  }

  func discard() { space.state.withLock { $0.durableFiles[path] = nil } }

  func open() throws(StorageError) -> any SpillReader {
    if space.state.withLock({ $0.isLossy }) { throw StorageError(.lost(path)) }
    return Reader(frames.withLock { $0 })
  }

  private final class Reader: SpillReader {
    let frames: [Bytes]
    init(_ frames: [Bytes]) { self.frames = frames }
    func read(_ frame: SpillFrame, _ locals: ExecutorLocals) throws(StorageError) -> Bytes {
      frames[Int(frame.position)]
    }
  }
}
