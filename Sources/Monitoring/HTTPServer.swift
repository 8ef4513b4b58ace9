import CLibevent
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

/// A small HTTP server for pages that a process shows of itself: GET and HEAD, by libevent, on a thread of its own.
///
/// At some 64 connections it takes no more until one of them goes; one that is idle for ten seconds is closed. Nothing
/// that a peer sends is kept: a request may have 8 KiB of headers and 64 KiB of a body, which is passed over.
///
/// Sendable: the pointers change in `init` and in `stop`, which its owner calls once; in between they are constant, and
/// everything behind them is touched on the server's thread alone. The handler is @Sendable.
public final class HTTPServer: @unchecked Sendable {
  /// Answers a path, such as `/metrics`; nil for one there is not. Called on the server's thread.
  public typealias Handler = @Sendable (_ path: String) -> HTTPResponse?

  /// The port it serves on.
  public private(set) var port: UInt16 = 0
  private let handler: Handler
  private let base: OpaquePointer
  private var server: OpaquePointer?
  private var listener: OpaquePointer?
  private var pause: OpaquePointer?
  private var thread: UInt64 = 0

  /// Begins to serve.
  /// - Parameters:
  ///   - address: an IPv4 address of this machine, or `localhost`.
  ///   - port: 0 for any that is free.
  /// - Throws: `MonitoringError` where it cannot.
  public init(address: String, port: UInt16, handler: @escaping Handler) throws(MonitoringError) {
    guard let bytes = HTTPServer.bytes(ofAddress: address) else { throw .notAnAddress(address) }
    guard let base = sluice_event_base() else { throw .outOfResources }
    self.handler = handler
    self.base = base
    listener = sluice_event_listen(base, bytes, port, &self.port)
    guard let listener else {
      event_base_free(base)
      throw .cannotServe(address: address, port: port)
    }
    // The thread has ended before this object goes: the pointer outlives every call with it.
    let this = Unmanaged.passUnretained(self).toOpaque()
    server = evhttp_new(base)
    pause = event_new(base, -1, 0, HTTPServer.pauseIsOver, this)
    guard let server, pause != nil else {
      evconnlistener_free(listener)
      free()
      throw .outOfResources
    }
    evhttp_set_timeout(server, 10)
    evhttp_set_max_headers_size(server, 8 << 10)
    evhttp_set_max_body_size(server, 64 << 10)
    evhttp_set_bevcb(server, HTTPServer.accepted, this)
    evhttp_set_gencb(server, HTTPServer.answer, this)
    // From here on the listener is the server's.
    guard evhttp_bind_listener(server, listener) != nil, sluice_event_start(base, &thread) != 0 else {
      free()
      throw .outOfResources
    }
  }

  deinit { stop() }

  /// Serves no more; returns when no request is being answered. A second call does nothing.
  public func stop() {
    guard server != nil else { return }
    sluice_event_stop(base, thread)
    free()
  }

  private func free() {
    if let pause { event_free(pause) }
    if let server { evhttp_free(server) }
    event_base_free(base)
    (pause, server, listener) = (nil, nil, nil)
  }

  private static func bytes(ofAddress text: String) -> [UInt8]? {
    if text == "localhost" { return [127, 0, 0, 1] }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    return parts.count == 4 && parts.allSatisfy { $0 != nil } ? parts.compactMap { $0 } : nil
  }

  // MARK: Connections

  /// The library does not count its connections, but its events: each connection waits for bytes and for its timeout.
  private var isFull: Bool { event_base_get_num_events(base, UInt32(EVENT_BASE_COUNT_ADDED)) >= 2 * 64 }

  /// A connection has come; nil: the library makes what it needs for it.
  private static let accepted: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> OpaquePointer? = {
    _, this in
    guard let this else { return nil }
    Unmanaged<HTTPServer>.fromOpaque(this).takeUnretainedValue().restWhileFull()
    return nil
  }

  private static let pauseIsOver: event_callback_fn = { _, _, this in
    guard let this else { return }
    Unmanaged<HTTPServer>.fromOpaque(this).takeUnretainedValue().restWhileFull()
  }

  /// Takes no connections for a moment where there are too many; they wait in the system's queue.
  private func restWhileFull() {
    guard isFull else {
      evconnlistener_enable(listener)
      return
    }
    evconnlistener_disable(listener)
    sluice_event_after(pause, 100)
  }

  // MARK: Requests

  private static let answer: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Void = { request, this in
    guard let request, let this else { return }
    let server = Unmanaged<HTTPServer>.fromOpaque(this).takeUnretainedValue()
    let command = evhttp_request_get_command(request)
    guard command == EVHTTP_REQ_GET || command == EVHTTP_REQ_HEAD else {
      return send(HTTPResponse(status: 405, body: "only GET and HEAD are answered here\n"), request)
    }
    let path = evhttp_request_get_evhttp_uri(request).flatMap { evhttp_uri_get_path($0) }
    let response = path.flatMap { server.handler(String(cString: $0)) }
    send(response ?? HTTPResponse(status: 404, body: "there is no such page; try /metrics\n"), request)
  }

  private static func send(_ response: HTTPResponse, _ request: OpaquePointer) {
    let headers = evhttp_request_get_output_headers(request)
    evhttp_add_header(headers, "Content-Type", response.contentType)
    evhttp_add_header(headers, "Cache-Control", "no-store")
    var body = response.body
    // The library copies.
    body.withUTF8 { _ = evbuffer_add(evhttp_request_get_output_buffer(request), $0.baseAddress, $0.count) }
    evhttp_send_reply(request, Int32(response.status), nil, nil)
  }
}

/// Why nothing is served.
public enum MonitoringError: DiagnosableError {
  /// Neither an IPv4 address nor `localhost`.
  case notAnAddress(String)
  /// The library could not open the port.
  case cannotServe(address: String, port: UInt16)
  /// There is no memory, descriptor or thread left.
  case outOfResources

  public var fault: Fault { if case .outOfResources = self { .machine } else { .user } }
  public var isRetriable: Bool { if case .notAnAddress = self { false } else { true } }
  public var leavesUsable: Bool { false }
  public var description: String {
    switch self {
    case .notAnAddress(let text):
      "metrics cannot be served on `\(text)`: give an IPv4 address of this machine, such as 127.0.0.1 or 0.0.0.0"
    case .cannotServe(let address, let port):
      "metrics cannot be served on \(address):\(port): the port is in use or not allowed; choose another with "
        + "sluice.metrics.port, or 0 for any that is free"
    case .outOfResources:
      "metrics cannot be served: too many open files or threads, or no memory; raise the limits (ulimit -n, -u)"
    }
  }
}
