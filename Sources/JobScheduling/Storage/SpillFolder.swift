import Codecs
import Datasets
import Groundwork
import Synchronization
import SystemInterfaces

/// A process's own folder for data that does not fit into memory, below a folder that processes may share
/// (`sluice.local.dir`).
///
/// The folder holds a lock as long as the process lives. Whoever makes a `SpillFolder` first removes what dead processes
/// left beside it: the folders whose lock can be taken.
///
/// Sendable: constant, but for counters.
public final class SpillFolder: SpillSpace {
  /// The process's own folder.
  public let path: String
  private let files: any FileStore
  private let codec: CompressionCodec
  private let lock: any FileLock
  private let lastFile = Atomic<Int>(0)
  /// Files that are there now.
  let live = Atomic<Int>(0)

  private static let prefix = "spill-"
  private static let lockName = "owner.lock"

  /// Makes the folder, and removes those of dead processes.
  /// - Parameters:
  ///   - directory: where processes' folders are; made if need be.
  ///   - owner: names this process among those that use `directory`: its pid.
  ///   - codec: compresses what is written; lz4 costs less than the disk saves.
  /// - Throws: `StorageError` where the folder cannot be made or is another live process's.
  public init(
    _ files: any FileStore, in directory: String, owner: String, codec: CompressionCodec = .lz4
  ) throws(StorageError) {
    self.files = files
    self.codec = codec
    path = "\(directory)/\(SpillFolder.prefix)\(owner)"
    do throws(FileError) {
      try files.createDirectories(directory)
      SpillFolder.removeStale(files, directory)
      try files.createDirectories(path)
      lock = try files.lock("\(path)/\(SpillFolder.lockName)", holder: owner)
    } catch {
      throw SpillFolder.failure(error)
    }
  }

  /// Removes the folder; files that are still open are lost to their readers.
  public func remove() {
    lock.unlock()
    try? files.removeTree(path)
  }

  deinit { remove() }

  /// Spill files that exist now.
  public var fileCount: Int { live.load(ordering: .relaxed) }

  private static func removeStale(_ files: any FileStore, _ directory: String) {
    for name in (try? files.list(directory)) ?? [] where name.hasPrefix(prefix) {
      // A folder whose owner lives, or that is not ours to look into, stays.
      guard let lock = try? files.lock("\(directory)/\(name)/\(lockName)", holder: "cleaning") else { continue }
      try? files.removeTree("\(directory)/\(name)")
      lock.unlock()
    }
  }

  /// A file error in the words of the storage.
  static func failure(_ error: FileError) -> StorageError {
    StorageError(.disk("\(error)", isRetriable: error.isRetriable))
  }

  /// A new file in the process's folder.
  public func makeFile() throws(StorageError) -> any SpillFile {
    let number = lastFile.add(1, ordering: .relaxed).newValue
    return try FileOfFrames(writing: "\(path)/\(number)", finalPath: nil, files, codec, self)
  }

  /// A file in a folder of the user's, under its name once it is sealed.
  public func makeDurableFile(_ name: String, in folder: String) throws(StorageError) -> any SpillFile {
    do {
      try files.createDirectories(folder)
    } catch {
      throw SpillFolder.failure(error)
    }
    return try FileOfFrames(writing: "\(folder)/.\(name).new", finalPath: "\(folder)/\(name)", files, codec, nil)
  }

  /// A durable file that was written before.
  public func durableFile(_ name: String, in folder: String) throws(StorageError) -> any SpillFile {
    FileOfFrames(reading: "\(folder)/\(name)", files, codec)
  }

  /// Replaces `folder/manifest`, durably.
  public func write(_ manifest: Bytes, in folder: String) throws(StorageError) {
    do throws(FileError) {
      try files.replace("\(folder)/manifest", with: manifest)
      try files.syncDirectory(folder)
    } catch {
      throw SpillFolder.failure(error)
    }
  }

  /// The bytes of a file.
  public func contents(of name: String, in folder: String) throws(StorageError) -> Bytes {
    do {
      return try files.contents(of: "\(folder)/\(name)")
    } catch {
      throw StorageError(.lost("\(error)"))
    }
  }
}

/// Compressed frames, one after the other in a file; where they stand is known to who wrote them.
///
/// Sendable: what changes while the file is written stands under a lock, and one task writes it.
private final class FileOfFrames: SpillFile {
  private struct Writing {
    var file: (any File)?
    var position: Int64 = 0
  }
  let path: String
  private let writingPath: String
  private let isDurable: Bool
  private let files: any FileStore
  private let codec: CompressionCodec
  /// Counts the file while it is there, and outlives it.
  private let folder: SpillFolder?
  private let writing: Mutex<Writing>
  private let mustStay: Atomic<Bool>

  init(
    writing path: String, finalPath: String?, _ files: any FileStore, _ codec: CompressionCodec, _ folder: SpillFolder?
  ) throws(StorageError) {
    do {
      writing = Mutex(Writing(file: try files.open(path, .create)))
    } catch {
      throw SpillFolder.failure(error)
    }
    self.path = finalPath ?? path
    writingPath = path
    isDurable = finalPath != nil
    self.files = files
    self.codec = codec
    self.folder = folder
    mustStay = Atomic(false)
    folder?.live.add(1, ordering: .relaxed)
  }

  init(reading path: String, _ files: any FileStore, _ codec: CompressionCodec) {
    self.path = path
    writingPath = path
    isDurable = true
    self.files = files
    self.codec = codec
    folder = nil
    writing = Mutex(Writing())
    mustStay = Atomic(true)
  }

  deinit {
    guard !mustStay.load(ordering: .relaxed) else { return }
    writing.withLock { $0.file = nil }
    try? files.removeFile(writingPath)
    folder?.live.subtract(1, ordering: .relaxed)
  }

  func append(_ bytes: UnsafeRawBufferPointer, _ locals: ExecutorLocals) throws(StorageError) -> SpillFrame {
    let stored: Bytes
    do {
      var writer = ByteWriter(capacity: bytes.count / 2 + 64)
      try SpillFolder.workspace(locals).compress(bytes, with: codec, into: &writer)
      stored = writer.finish()
    } catch {
      throw StorageError(.disk("\(error)", isRetriable: false))
    }
    let position: Int64
    do throws(FileError) {
      position = try writing.withLock { writing throws(FileError) in
        guard let file = writing.file else { throw FileError(.readOnly, path: path, operation: "write") }
        try file.write(at: writing.position, stored)
        defer { writing.position += Int64(stored.count) }
        return writing.position
      }
    } catch {
      throw SpillFolder.failure(error)
    }
    return SpillFrame(
      position: position, storedCount: stored.count, count: bytes.count, checksum: stored.fastHash(seed: 0))
  }

  func seal() throws(StorageError) {
    guard let file = writing.withLock({ $0.file.take() }), isDurable else { return }
    do throws(FileError) {
      try file.sync()
      try files.rename(writingPath, to: path)
      mustStay.store(true, ordering: .relaxed)
      try files.syncDirectory(
        path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/"))
    } catch {
      throw SpillFolder.failure(error)
    }
  }

  func discard() {
    guard isDurable else { return }
    try? files.removeFile(path)
  }

  func open() throws(StorageError) -> any SpillReader {
    do {
      return FrameReader(try files.open(path, .read), codec)
    } catch {
      if case .notFound = error.code { throw StorageError(.lost("\(error)")) }
      throw SpillFolder.failure(error)
    }
  }
}

/// Reads frames, and believes none that is not what was written.
private final class FrameReader: SpillReader {
  private let file: any File
  private let codec: CompressionCodec

  init(_ file: any File, _ codec: CompressionCodec) {
    self.file = file
    self.codec = codec
  }

  func read(_ frame: SpillFrame, _ locals: ExecutorLocals) throws(StorageError) -> Bytes {
    func lost(_ what: String) -> StorageError {
      StorageError(.lost("\(file.path) at byte \(frame.position): \(what)"))
    }
    let stored: Bytes
    do {
      stored = try file.read(at: frame.position, count: frame.storedCount)
    } catch {
      // A device that cannot read a block will not read it the next time.
      if case .inputOutput = error.code { throw lost("\(error)") }
      throw SpillFolder.failure(error)
    }
    guard stored.count == frame.storedCount else { throw lost("the file ends too early") }
    guard stored.fastHash(seed: 0) == frame.checksum else { throw lost("its bytes have changed") }
    do {
      let bytes = try SpillFolder.workspace(locals).decompress(stored, with: codec, limit: frame.count)
      guard bytes.count == frame.count else { throw lost("it holds \(bytes.count) bytes instead of \(frame.count)") }
      return bytes
    } catch let error as StorageError {
      throw error
    } catch {
      throw lost("\(error)")
    }
  }
}

extension SpillFolder {
  /// The executor's compression contexts.
  static func workspace(_ locals: ExecutorLocals) -> CodecWorkspace {
    locals.object(CodecWorkspace.self) { CodecWorkspace() }
  }
}
