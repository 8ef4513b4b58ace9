import Dispatch
import Glibc
import Groundwork
import SystemInterfaces

/// An IPv4 or IPv6 address as the system writes it.
struct SocketAddress: Sendable {
  /// 128 bytes hold any; `size` of them are used.
  var storage = sockaddr_storage()
  var size: socklen_t = 0

  var family: Int32 { Int32(storage.ss_family) }

  func withPointer<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    withUnsafePointer(to: storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
    }
  }

  /// As text and number.
  var address: Address {
    var text = [CChar](repeating: 0, count: 64)
    return withUnsafeBytes(of: storage) { raw in
      let pointer = raw.baseAddress!
      if family == AF_INET6 {
        let six = pointer.loadUnaligned(as: sockaddr_in6.self)
        var inner = six.sin6_addr
        inet_ntop(AF_INET6, &inner, &text, 64)
        return Address(host: Self.string(text), port: Int(UInt16(bigEndian: six.sin6_port)))
      }
      let four = pointer.loadUnaligned(as: sockaddr_in.self)
      var inner = four.sin_addr
      inet_ntop(AF_INET, &inner, &text, 64)
      return Address(host: Self.string(text), port: Int(UInt16(bigEndian: four.sin_port)))
    }
  }

  private static func string(_ text: [CChar]) -> String {
    String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The addresses a name stands for, in the system's order of preference. Blocks while names are looked up.
  /// - Parameters:
  ///   - passive: for listening.
  ///   - numericOnly: never looks anything up; a name gives nothing.
  static func resolve(_ address: Address, passive: Bool = false, numericOnly: Bool = false) -> [SocketAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0) | (numericOnly ? AI_NUMERICHOST : 0)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(address.host, String(address.port), &hints, &list) == 0 else { return [] }
    defer { freeaddrinfo(list) }
    var result: [SocketAddress] = []
    var next = list
    while let info = next {
      if let raw = info.pointee.ai_addr, info.pointee.ai_family == AF_INET || info.pointee.ai_family == AF_INET6 {
        var found = SocketAddress()
        found.size = info.pointee.ai_addrlen
        withUnsafeMutableBytes(of: &found.storage) {
          $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: Int(info.pointee.ai_addrlen)))
        }
        result.append(found)
      }
      next = info.pointee.ai_next
    }
    return result
  }

  /// Resolves on a thread of Dispatch, since a name server may take its time, and answers on the loop; numbers are
  /// answered from memory.
  static func resolve(_ address: Address, on loop: EpollLoop, _ done: @escaping @Sendable ([SocketAddress]) -> Void) {
    let numeric = resolve(address, numericOnly: true)
    if !numeric.isEmpty {
      loop.post { done(numeric) }
    } else {
      DispatchQueue.global().async {
        let found = resolve(address)
        loop.post { done(found) }
      }
    }
  }
}
