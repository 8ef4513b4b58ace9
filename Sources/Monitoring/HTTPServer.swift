import CMicrohttpd
import Groundwork

/// What a page answers.
public struct HTTPResponse: Sendable {
  /// 200 and the like.
  public var status: Int
  /// `text/plain; charset=utf-8`.
  public var contentType: String
  /// The body.
  public var body: String

  /// An answer with a body of text.
  public init(status: Int = 200, contentType: String = "text/plain; charset=utf-8", body: String) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }
}

/// A small HTTP server for pages that a process shows of itself: GET and HEAD, by libmicrohttpd, on a thread of its own.
///
/// At most 64 connections at once; one that is idle for ten seconds is closed. Nothing that a peer sends is kept.
///
/// Sendable: the daemon's pointer is constant until `stop`, which its owner calls once; the handler is @Sendable.
public final class HTTPServer: @unchecked Sendable {
  /// Answers a path, such as `/metrics`; nil for one there is not. Called on the server's thread.
  public typealias Handler = @Sendable (_ path: String) -> HTTPResponse?

  /// The port it serves on.
  public private(set) var port: UInt16 = 0
  private let handler: Handler
  private var daemon: OpaquePointer?

  /// Begins to serve.
  /// - Parameters:
  ///   - address: an IPv4 address of this machine, or `localhost`.
  ///   - port: 0 for any that is free.
  /// - Throws: `MonitoringError` where it cannot.
  public init(address: String, port: UInt16, handler: @escaping Handler) throws(MonitoringError) {
    self.handler = handler
    guard let bytes = HTTPServer.bytes(ofAddress: address) else { throw .notAnAddress(address) }
    // The daemon is stopped before this object goes: the pointer outlives every call with it.
    let this = Unmanaged.passUnretained(self).toOpaque()
    daemon = bytes.withUnsafeBufferPointer { bytes in
      sluice_http_start(bytes.baseAddress, port, 64, 10, HTTPServer.answer, this)
    }
    guard let daemon else { throw .cannotServe(address: address, port: port) }
    self.port = sluice_http_port(daemon)
  }

  deinit { stop() }

  /// Serves no more; returns when no request is being answered. A second call does nothing.
  public func stop() {
    guard let daemon else { return }
    self.daemon = nil
    MHD_stop_daemon(daemon)
  }

  private static func bytes(ofAddress text: String) -> [UInt8]? {
    if text == "localhost" { return [127, 0, 0, 1] }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    return parts.count == 4 && parts.allSatisfy { $0 != nil } ? parts.compactMap { $0 } : nil
  }

  private static let answer: MHD_AccessHandlerCallback = { this, connection, path, method, _, _, uploadSize, _ in
    guard let this, let connection, let path, let method else { return .NO }
    let server = Unmanaged<HTTPServer>.fromOpaque(this).takeUnretainedValue()
    // A body that somebody sends is passed over, piece by piece.
    if let uploadSize, uploadSize.pointee > 0 {
      uploadSize.pointee = 0
      return .YES
    }
    let word = String(cString: method)
    guard word == "GET" || word == "HEAD" else {
      return send(HTTPResponse(status: 405, body: "only GET and HEAD are answered here\n"), connection)
    }
    let response = server.handler(String(cString: path))
    return send(response ?? HTTPResponse(status: 404, body: "there is no such page; try /metrics\n"), connection)
  }

  private static func send(_ response: HTTPResponse, _ connection: OpaquePointer) -> MHD_Result {
    var body = response.body
    let made = body.withUTF8 { text in
      // The library copies; it takes a pointer to mutable bytes all the same.
      MHD_create_response_from_buffer(
        text.count, UnsafeMutableRawPointer(mutating: text.baseAddress), MHD_ResponseMemoryMode.RESPMEM_MUST_COPY)
    }
    guard let made else { return .NO }
    defer { MHD_destroy_response(made) }
    MHD_add_response_header(made, "Content-Type", response.contentType)
    MHD_add_response_header(made, "Cache-Control", "no-store")
    return MHD_queue_response(connection, UInt32(response.status), made)
  }
}

/// Why nothing is served.
public enum MonitoringError: DiagnosableError {
  /// Neither an IPv4 address nor `localhost`.
  case notAnAddress(String)
  /// The library could not open the port.
  case cannotServe(address: String, port: UInt16)

  public var fault: Fault { .user }
  public var isRetriable: Bool { if case .cannotServe = self { true } else { false } }
  public var leavesUsable: Bool { false }
  public var description: String {
    switch self {
    case .notAnAddress(let text):
      "metrics cannot be served on `\(text)`: give an IPv4 address of this machine, such as 127.0.0.1 or 0.0.0.0"
    case .cannotServe(let address, let port):
      "metrics cannot be served on \(address):\(port): the port is in use or not allowed; choose another with "
        + "sluice.metrics.port, or 0 for any that is free"
    }
  }
}
