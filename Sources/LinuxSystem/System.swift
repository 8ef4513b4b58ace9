import CPrimitives
import Glibc
import Groundwork
import SystemInterfaces

/// An error number of the system, as it came.
struct Errno: Error, Equatable {
  var rawValue: Int32
  init(_ rawValue: Int32) { self.rawValue = rawValue }
}

/// What a call on a non-blocking descriptor gave.
enum Progress {
  /// Bytes moved; 0 from a read is the end.
  case moved(Int)
  case wouldBlock
  case failed(Errno)
}

/// The one place where system calls are made: a call interrupted by a signal is made again, "would block" is a value,
/// anything else is thrown with its number.
enum System {
  /// - Returns: what the call returned, never negative.
  @inline(__always)
  @discardableResult
  static func call<N: SignedInteger>(_ body: () -> N) throws(Errno) -> Int {
    while true {
      let result = body()
      if result >= 0 { return Int(result) }
      let number = errno
      if number != EINTR { throw Errno(number) }
    }
  }

  @inline(__always)
  static func progress(_ body: () -> Int) -> Progress {
    while true {
      let result = body()
      if result >= 0 { return .moved(result) }
      let number = errno
      if number == EAGAIN || number == EWOULDBLOCK { return .wouldBlock }
      if number != EINTR { return .failed(Errno(number)) }
    }
  }

  /// Not retried when interrupted: on Linux the descriptor is gone in either case.
  static func close(_ fd: Int32) { _ = Glibc.close(fd) }

  static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  static func wallMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// Two ends of a pipe, close-on-exec: (read, write).
  static func pipe() throws(Errno) -> (Int32, Int32) {
    var ends: [Int32] = [0, 0]
    try call { sluice_pipe(&ends) }
    return (ends[0], ends[1])
  }

  static func setNonBlocking(_ fd: Int32) {
    let flags = fcntl(fd, F_GETFL)
    if flags >= 0 { _ = fcntl(fd, F_SETFL, flags | O_NONBLOCK) }
  }

  /// Writes all bytes to a blocking descriptor (waits where it does not block).
  static func writeAll(_ fd: Int32, _ bytes: UnsafeRawBufferPointer) throws(Errno) {
    var done = 0
    while done < bytes.count {
      switch progress({ Glibc.write(fd, bytes.baseAddress! + done, bytes.count - done) }) {
      case .moved(let count): done += count
      case .wouldBlock:
        var waiting = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
        try call { poll(&waiting, 1, -1) }
      case .failed(let error): throw error
      }
    }
  }
}

extension Errno {
  /// As the files' error.
  func fileError(_ path: String, _ operation: String) -> FileError {
    let code: FileError.Code =
      switch rawValue {
      case ENOENT: .notFound
      case EACCES, EPERM: .permissionDenied
      case EEXIST: .alreadyExists
      case ENOTDIR: .notADirectory
      case EISDIR: .isADirectory
      case ENOTEMPTY: .notEmpty
      case ENOSPC, EDQUOT, EFBIG: .diskFull
      case EROFS: .readOnly
      case EMFILE, ENFILE: .tooManyOpenFiles
      case ENAMETOOLONG: .nameTooLong
      case EIO: .inputOutput
      default: .other(rawValue)
      }
    return FileError(code, path: path, operation: operation)
  }

  /// As the reason why a connection ended.
  var closeReason: CloseReason {
    switch rawValue {
    case ECONNREFUSED: .refused
    case ENETUNREACH, EHOSTUNREACH, ETIMEDOUT, EADDRNOTAVAIL, ENETDOWN, EHOSTDOWN: .unreachable
    case ECONNRESET, EPIPE, ECONNABORTED: .reset
    default: .other(rawValue)
    }
  }
}
