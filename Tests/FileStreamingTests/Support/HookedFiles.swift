import Groundwork
import SystemInterfaces

/// Files whose calls can be watched and stopped one by one: before each call that changes something, `hook` hears of it.
///
/// Sendable: of one simulated world, on the thread of its test.
final class HookedFiles: FileStore, @unchecked Sendable {
  enum Call: String { case open, write, sync, truncate, rename, remove, make, lock }
  let base: any FileStore
  /// Calls so far.
  private(set) var count = 0
  /// Before the call of that number; may throw in its place, and may write a part of what is written itself.
  var hook: ((_ number: Int, _ call: Call, _ path: String, _ tear: (() -> Void)?) throws(FileError) -> Void)?

  init(_ base: any FileStore) { self.base = base }

  fileprivate func before(_ call: Call, _ path: String, tear: (() -> Void)? = nil) throws(FileError) {
    count += 1
    try hook?(count, call, path, tear)
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
    if mode != .read { try before(.open, path) }
    return HookedFile(try base.open(path, mode), self)
  }
  func createDirectories(_ path: String) throws(FileError) {
    try before(.make, path)
    try base.createDirectories(path)
  }
  func list(_ path: String) throws(FileError) -> [String] { try base.list(path) }
  func attributes(_ path: String) throws(FileError) -> FileAttributes? { try base.attributes(path) }
  func removeFile(_ path: String) throws(FileError) {
    try before(.remove, path)
    try base.removeFile(path)
  }
  func removeTree(_ path: String) throws(FileError) {
    try before(.remove, path)
    try base.removeTree(path)
  }
  func rename(_ from: String, to: String) throws(FileError) {
    try before(.rename, from)
    try base.rename(from, to: to)
  }
  func syncDirectory(_ path: String) throws(FileError) {
    try before(.sync, path)
    try base.syncDirectory(path)
  }
  func lock(_ path: String, holder: String) throws(FileError) -> any FileLock {
    try before(.lock, path)
    return try base.lock(path, holder: holder)
  }
  func lockHolder(_ path: String) throws(FileError) -> String? { try base.lockHolder(path) }
}

/// Sendable: as its store.
private final class HookedFile: File, @unchecked Sendable {
  private let base: any File
  private let owner: HookedFiles

  init(_ base: any File, _ owner: HookedFiles) {
    self.base = base
    self.owner = owner
  }
  var path: String { base.path }
  func size() throws(FileError) -> Int64 { try base.size() }
  func read(at position: Int64, into: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
    try base.read(at: position, into: into)
  }
  func write(at position: Int64, _ parts: [Bytes]) throws(FileError) {
    try owner.before(.write, path) { [base] in
      var whole = ByteWriter()
      for part in parts { whole.append(part) }
      let bytes = whole.finish()
      try? base.write(at: position, bytes[0..<bytes.count / 2])
    }
    try base.write(at: position, parts)
  }
  func truncate(to size: Int64) throws(FileError) {
    try owner.before(.truncate, path)
    try base.truncate(to: size)
  }
  func sync() throws(FileError) {
    try owner.before(.sync, path)
    try base.sync()
  }
}
