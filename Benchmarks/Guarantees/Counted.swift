import KafkaProtocol
import Sluice
import Synchronization
import SystemInterfaces

/// What went through a seam, added up by kind.
final class Counts: Sendable {
  private let sums = Mutex<[String: Int64]>([:])

  func add(_ count: Int64, to kind: String) { sums.withLock { $0[kind, default: 0] += count } }

  subscript(kind: String) -> Int64 { sums.withLock { $0[kind] ?? 0 } }

  /// Sorted by kind.
  var all: [(kind: String, count: Int64)] { sums.withLock { $0.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } } }
}

/// A file store that counts the bytes written and the syncs, by a kind that each path belongs to.
struct CountedFiles: FileStore {
  let base: any FileStore
  let counts: Counts
  /// nil leaves the file as it is: a segment must stay what the kernel sends from.
  let kind: @Sendable (_ path: String) -> String?

  static func bytes(_ kind: String) -> String { "\(kind) bytes" }
  static func syncs(_ kind: String) -> String { "\(kind) syncs" }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
    let file = try base.open(path, mode)
    return kind(path).map { CountedFile(file, $0, counts) } ?? file
  }
  func createDirectories(_ path: String) throws(FileError) { try base.createDirectories(path) }
  func list(_ path: String) throws(FileError) -> [String] { try base.list(path) }
  func attributes(_ path: String) throws(FileError) -> FileAttributes? { try base.attributes(path) }
  func removeFile(_ path: String) throws(FileError) { try base.removeFile(path) }
  func removeTree(_ path: String) throws(FileError) { try base.removeTree(path) }
  func rename(_ from: String, to: String) throws(FileError) { try base.rename(from, to: to) }
  func syncDirectory(_ path: String) throws(FileError) {
    counts.add(1, to: CountedFiles.syncs("folder"))
    try base.syncDirectory(path)
  }
  func sync(_ files: [any File]) -> [FileError?] {
    base.sync(
      files.map { file in
        guard let counted = file as? CountedFile else { return file }
        counts.add(1, to: CountedFiles.syncs(counted.kind))
        return counted.base
      })
  }
  func lock(_ path: String, holder: String) throws(FileError) -> any FileLock { try base.lock(path, holder: holder) }
  func lockHolder(_ path: String) throws(FileError) -> String? { try base.lockHolder(path) }
}

private final class CountedFile: File {
  let base: any File
  let kind: String
  let counts: Counts

  init(_ base: any File, _ kind: String, _ counts: Counts) {
    self.base = base
    self.kind = kind
    self.counts = counts
  }

  var path: String { base.path }
  func size() throws(FileError) -> Int64 { try base.size() }
  func read(at position: Int64, into: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
    try base.read(at: position, into: into)
  }
  func write(at position: Int64, _ parts: [Bytes]) throws(FileError) {
    counts.add(Int64(parts.reduce(0) { $0 + $1.count }), to: CountedFiles.bytes(kind))
    try base.write(at: position, parts)
  }
  func truncate(to size: Int64) throws(FileError) { try base.truncate(to: size) }
  func sync() throws(FileError) {
    counts.add(1, to: CountedFiles.syncs(kind))
    try base.sync()
  }
}

/// A transport that counts the requests sent, by the name of the call.
struct CountedTransport: Transport {
  let base: any Transport
  let counts: Counts

  func connect(
    to address: Address, framing: Framing, on loop: any Loop, _ sink: @escaping @Sendable (TransportEvent) -> Void
  ) -> ConnectionID { base.connect(to: address, framing: framing, on: loop, sink) }
  func listen(
    on address: Address, framing: Framing, loop: any Loop,
    accept: @escaping @Sendable (ConnectionID, Address) -> @Sendable (TransportEvent) -> Void
  ) throws(TransportError) -> (ListenerID, Address) {
    try base.listen(on: address, framing: framing, loop: loop, accept: accept)
  }
  func stopListening(_ listener: ListenerID) { base.stopListening(listener) }
  func send(_ connection: ConnectionID, _ parts: [SendPart]) {
    if case .bytes(let bytes)? = parts.first, let call = CountedTransport.call(bytes) { counts.add(1, to: call) }
    base.send(connection, parts)
  }
  func queuedBytes(_ connection: ConnectionID) -> Int { base.queuedBytes(connection) }
  func setReading(_ connection: ConnectionID, _ isOn: Bool) { base.setReading(connection, isOn) }
  func close(_ connection: ConnectionID) { base.close(connection) }

  /// A request begins with its length and the number of its call.
  private static func call(_ bytes: Bytes) -> String? {
    guard bytes.count >= 6 else { return nil }
    let key = bytes.withUnsafeBytes { Int16($0[4]) << 8 | Int16($0[5]) }
    return APIKey(rawValue: key).map { "\($0)" }
  }
}
