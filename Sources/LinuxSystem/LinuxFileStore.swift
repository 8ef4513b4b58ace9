import CPrimitives
import Dispatch
import Glibc
import Groundwork
import SystemInterfaces

/// The machine's files, by POSIX calls.
public struct LinuxFileStore: FileStore {
  /// Stateless: all of them are the same file system.
  public init() {}

  /// New files get mode 0644 less the umask; descriptors are closed in programs this one starts.
  /// - Throws: `.isADirectory` for a directory in any mode, `.notFound` for a missing file in mode `.read`, and
  ///   whatever else the system says.
  public func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
    let flags: Int32 =
      switch mode {
      case .read: O_RDONLY
      case .readWrite: O_RDWR | O_CREAT
      case .create: O_RDWR | O_CREAT | O_TRUNC
      }
    let fd = try Self.attempt(path, "open") { () throws(Errno) in
      try System.call { Glibc.open(path, flags | O_CLOEXEC, 0o644) }
    }
    let file = LinuxFile(path, Int32(fd))
    if mode == .read {
      // A directory opens for reading, but is no file.
      let status = try Self.attempt(path, "open") { () throws(Errno) in try Self.status(of: file) }
      if status.st_mode & S_IFMT == S_IFDIR { throw FileError(.isADirectory, path: path, operation: "open") }
    }
    return file
  }

  static func attempt<R>(
    _ path: String, _ operation: String, _ body: () throws(Errno) -> R
  ) throws(FileError) -> R {
    do { return try body() } catch { throw error.fileError(path, operation) }
  }

  private static func status(of file: LinuxFile) throws(Errno) -> stat {
    var status = stat()
    try System.call { fstat(file.descriptor, &status) }
    return status
  }

  /// One `mkdir` per name, and a sync of the parent of each directory made.
  /// - Throws: `.notADirectory` where a file stands in the way.
  public func createDirectories(_ path: String) throws(FileError) {
    var made = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      let parent = made.isEmpty ? "." : made
      made += made.isEmpty || made.hasSuffix("/") ? String(part) : "/" + part
      if mkdir(made, 0o755) == 0 {
        try syncDirectory(parent)
      } else if errno != EEXIST {
        throw Errno(errno).fileError(made, "create")
      }
    }
    if let found = try attributes(path), !found.isDirectory {
      throw FileError(.notADirectory, path: path, operation: "create")
    }
  }

  /// Names without `.` and `..`, sorted by their text. O(n log n) in the names.
  public func list(_ path: String) throws(FileError) -> [String] {
    guard let directory = opendir(path) else { throw Errno(errno).fileError(path, "list") }
    defer { closedir(directory) }
    var names: [String] = []
    errno = 0
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
      errno = 0
    }
    if errno != 0 { throw Errno(errno).fileError(path, "list") }
    return names.sorted()
  }

  /// Follows symbolic links.
  public func attributes(_ path: String) throws(FileError) -> FileAttributes? {
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT { return nil }
      throw Errno(errno).fileError(path, "read")
    }
    return FileAttributes(
      size: Int64(status.st_size), isDirectory: status.st_mode & S_IFMT == S_IFDIR,
      modified: Timestamp(
        milliseconds: Int64(status.st_mtim.tv_sec) * 1000 + Int64(status.st_mtim.tv_nsec) / 1_000_000))
  }

  /// Removes a name (`unlink`); not for directories.
  /// - Throws: `.notFound` where there is nothing of that name.
  public func removeFile(_ path: String) throws(FileError) {
    _ = try Self.attempt(path, "remove") { () throws(Errno) in try System.call { unlink(path) } }
  }

  /// Depth first, and not atomically: a failure leaves what was not yet removed. Symbolic links are removed, not
  /// followed.
  public func removeTree(_ path: String) throws(FileError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw Errno(errno).fileError(path, "remove")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { return try removeFile(path) }
    for name in try list(path) { try removeTree(path + "/" + name) }
    _ = try Self.attempt(path, "remove") { () throws(Errno) in try System.call { rmdir(path) } }
  }

  /// `rename(2)`: within one file system. Not durable until `syncDirectory`.
  public func rename(_ from: String, to: String) throws(FileError) {
    _ = try Self.attempt(from, "rename") { () throws(Errno) in try System.call { Glibc.rename(from, to) } }
  }

  /// Blocks until the disk has all of them. The kernel writes one journal for all that wait at the same time, so each file
  /// is synced by a thread of its own, 16 at most.
  public func sync(_ files: [any File]) -> [FileError?] {
    let errors = Lock([FileError?](repeating: nil, count: files.count))
    let lanes = min(files.count, 16)
    let work: @Sendable (Int) -> Void = { lane in
      for index in stride(from: lane, to: files.count, by: lanes) {
        do throws(FileError) { try files[index].sync() } catch { errors.withLock { $0[index] = error } }
      }
    }
    guard lanes > 0 else { return [] }
    let others = DispatchGroup()
    for lane in 1..<lanes { DispatchQueue(label: "sluice.sync").async(group: others) { work(lane) } }
    work(0)
    others.wait()
    return errors.withLock { $0 }
  }

  /// `fsync` of the directory.
  public func syncDirectory(_ path: String) throws(FileError) {
    try Self.attempt(path, "sync") { () throws(Errno) in
      let fd = Int32(try System.call { Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
      defer { System.close(fd) }
      try System.call { fsync(fd) }
    }
  }

  /// A write lock of the whole file (fcntl_locking(2), `F_OFD_SETLK`), without waiting. It belongs to the open file: it
  /// ends with `unlock`, the object's release, or the process.
  public func lock(_ path: String, holder: String) throws(FileError) -> any FileLock {
    let file = LinuxFile(
      path,
      Int32(
        try Self.attempt(path, "lock") { () throws(Errno) in
          try System.call { Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644) }
        }))
    do throws(Errno) {
      try System.call { sluice_file_lock(file.descriptor) }
    } catch {
      // POSIX leaves open which of the two it is.
      guard error.rawValue == EAGAIN || error.rawValue == EACCES else { throw error.fileError(path, "lock") }
      throw FileError(.locked(by: try Self.holder(in: file)), path: path, operation: "lock")
    }
    let lock = LinuxFileLock(file)
    try lock.update(holder: holder)
    return lock
  }

  /// Asks the system (`F_OFD_GETLK`) who would refuse the lock.
  public func lockHolder(_ path: String) throws(FileError) -> String? {
    let file: LinuxFile
    do throws(Errno) {
      file = LinuxFile(path, Int32(try System.call { Glibc.open(path, O_RDONLY | O_CLOEXEC) }))
    } catch {
      if error.rawValue == ENOENT { return nil }
      throw error.fileError(path, "ask for the lock of")
    }
    let isLocked = try Self.attempt(path, "ask for the lock of") { () throws(Errno) in
      try System.call { sluice_file_is_locked(file.descriptor) }
    }
    return isLocked == 0 ? nil : try Self.holder(in: file)
  }

  private static func holder(in file: LinuxFile) throws(FileError) -> String {
    let text = String(try file.read(at: 0, count: 1024))
    return text.isEmpty ? "another process" : text
  }
}
