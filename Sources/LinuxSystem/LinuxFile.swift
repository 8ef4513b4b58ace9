import Glibc
import Groundwork
import SystemInterfaces

/// An open file descriptor.
public final class LinuxFile: File {
  /// As it was named when it was opened; errors carry it.
  public let path: String
  let descriptor: Int32

  init(_ path: String, _ descriptor: Int32) {
    self.path = path
    self.descriptor = descriptor
  }

  deinit { System.close(descriptor) }

  /// Bytes of the file now (`fstat`).
  public func size() throws(FileError) -> Int64 {
    var status = stat()
    _ = try LinuxFileStore.attempt(path, "read") { () throws(Errno) in
      try System.call { fstat(descriptor, &status) }
    }
    return Int64(status.st_size)
  }

  /// One `pread`: it may give fewer bytes than asked for before the end, as POSIX allows.
  public func read(at position: Int64, into: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
    guard let base = into.baseAddress, into.count > 0 else { return 0 }
    return try LinuxFileStore.attempt(path, "read") { () throws(Errno) in
      try System.call { pread(descriptor, base, into.count, off_t(position)) }
    }
  }

  /// As few `pwritev` calls as the kernel needs; short writes are continued.
  public func write(at position: Int64, _ parts: [Bytes]) throws(FileError) {
    try LinuxFileStore.attempt(path, "write") { () throws(Errno) in try writeAll(position, parts) }
  }

  private func writeAll(_ position: Int64, _ parts: [Bytes]) throws(Errno) {
    var position = position
    var next = 0
    var skipped = 0
    while next < parts.count {
      let result: Result<Int, Errno> = withUnsafeTemporaryAllocation(byteCount: 16 * 1024, alignment: 16) { scratch in
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: 64) { vectors in
          var gather = Gather(vectors: vectors, scratch: scratch)
          var index = next
          var skip = skipped
          while index < parts.count, gather.add(parts[index], skipping: skip) {
            skip = 0
            index += 1
          }
          guard gather.count > 0 else { return .success(0) }
          do throws(Errno) {
            return .success(
              try System.call { pwritev(descriptor, vectors.baseAddress!, Int32(gather.count), off_t(position)) })
          } catch {
            return .failure(error)
          }
        }
      }
      var written = try result.get()
      position += Int64(written)
      // Past what was written; empty parts go along.
      while next < parts.count, written >= parts[next].count - skipped {
        written -= parts[next].count - skipped
        skipped = 0
        next += 1
      }
      skipped += written
    }
  }

  /// Cuts the file, or extends it by zeros (`ftruncate`).
  public func truncate(to size: Int64) throws(FileError) {
    _ = try LinuxFileStore.attempt(path, "truncate") { () throws(Errno) in
      try System.call { ftruncate(descriptor, off_t(size)) }
    }
  }

  /// Blocks until the disk has the content and the size (`fdatasync`).
  public func sync() throws(FileError) {
    // fdatasync writes the size as well where it changed, and spares the times.
    _ = try LinuxFileStore.attempt(path, "sync") { () throws(Errno) in try System.call { fdatasync(descriptor) } }
  }
}

/// A file lock of the open file (`F_OFD_SETLK`): the system drops it with the last descriptor, so also when the process
/// dies.
public final class LinuxFileLock: FileLock {
  private let file: Lock<LinuxFile?>
  private let path: String

  init(_ file: LinuxFile) {
    path = file.path
    self.file = Lock(file)
  }

  /// Overwrites the lock file's text and cuts off what was longer. Not durable: the text is for whoever is refused.
  /// - Throws: `.other(EBADF)` after `unlock`, else what the file system says.
  public func update(holder: String) throws(FileError) {
    guard let file = file.withLock({ $0 }) else { throw FileError(.other(EBADF), path: path, operation: "lock") }
    let text = Bytes(holder)
    try file.write(at: 0, text)
    try file.truncate(to: Int64(text.count))
  }

  /// The file stays: removing it could remove one that somebody else has locked by now.
  public func unlock() { file.withLock { $0 = nil } }
}
