import Groundwork
import LogStorage
import SystemInterfaces

/// Why a broker could not start, or stop cleanly.
public struct BrokerError: DiagnosableError {
  /// Why. The cases that wrap another layer's code carry what is needed to give that layer's own message.
  public enum Code: Sendable, Equatable {
    /// Another process has the data folder; where it serves, if it said so.
    case folderInUse(holder: String, address: Address?)
    /// The file system refused, in the data folder.
    case file(FileError.Code, operation: String, path: String)
    /// A partition's log or one of the broker's journals could not be opened or written.
    case log(LogError.Code, path: String)
    /// The address could not be listened on.
    case listen(TransportError.Code, address: Address)
    /// `start` a second time.
    case startedAlready
  }
  /// Why.
  public var code: Code
  /// A broker's error; those of files and logs are wrapped by the broker itself.
  public init(_ code: Code) { self.code = code }

  init(_ error: FileError) { code = .file(error.code, operation: error.operation, path: error.path) }
  init(_ error: LogError) { code = .log(error.code, path: error.path) }

  public var fault: Fault {
    switch code {
    case .folderInUse, .listen: .user
    case .file(let code, let operation, let path): FileError(code, path: path, operation: operation).fault
    case .log(let code, let path): LogError(code, path: path).fault
    case .startedAlready: .ours
    }
  }

  public var isRetriable: Bool {
    switch code {
    case .folderInUse: true
    case .listen(let code, let address): TransportError(code, address: address).isRetriable
    case .file(let code, let operation, let path): FileError(code, path: path, operation: operation).isRetriable
    case .log(let code, let path): LogError(code, path: path).isRetriable
    case .startedAlready: false
    }
  }

  public var leavesUsable: Bool { false }

  public var description: String {
    switch code {
    case .folderInUse(let holder, let address):
      "the broker's data folder is in use by \(holder.isEmpty ? "another process" : holder): "
        + (address.map { "connect to it (--bootstrap-server \($0)), " } ?? "") + "stop it, or choose another folder"
    case .file(let code, let operation, let path): FileError(code, path: path, operation: operation).description
    case .log(let code, let path): LogError(code, path: path).description
    case .listen(let code, let address): TransportError(code, address: address).description
    case .startedAlready: "the broker was started before: make another one"
    }
  }
}

/// Runs work of the store, and turns its error into the target's own.
func brokering<T>(_ work: () throws(LogError) -> T) throws(BrokerError) -> T {
  do throws(LogError) { return try work() } catch { throw BrokerError(error) }
}
