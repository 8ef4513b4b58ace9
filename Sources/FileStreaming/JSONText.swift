import Groundwork

extension ByteWriter {
  /// Appends bytes as a JSON value: a string where they are UTF-8 text, else `{"base64":"…"}`, so that nothing is lost;
  /// nil is `null` (RFC 8259, RFC 4648).
  public mutating func append(json bytes: Bytes?) {
    guard let bytes else { return append("null") }
    let isText = bytes.withUnsafeBytes { String(validating: $0, as: UTF8.self) != nil }
    guard isText else {
      append("{\"base64\":\"")
      append(base64: bytes)
      return append("\"}")
    }
    append(UInt8(ascii: "\""))
    bytes.withUnsafeBytes { raw in
      var start = 0
      for index in 0..<raw.count {
        let byte = raw[index]
        guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
        append(UnsafeRawBufferPointer(rebasing: raw[start..<index]))
        start = index + 1
        switch byte {
        case UInt8(ascii: "\n"): append("\\n")
        case UInt8(ascii: "\r"): append("\\r")
        case UInt8(ascii: "\t"): append("\\t")
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        default:
          append("\\u00")
          append(hexDigit(byte >> 4))
          append(hexDigit(byte & 15))
        }
      }
      append(UnsafeRawBufferPointer(rebasing: raw[start...]))
    }
    append(UInt8(ascii: "\""))
  }

  private func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 87 + value }

  private mutating func append(base64 bytes: Bytes) {
    let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    var position = 0
    while position < bytes.count {
      let size = Swift.min(3, bytes.count - position)
      var word: UInt32 = 0
      for index in 0..<3 { word = word << 8 | (index < size ? UInt32(bytes[position + index]) : 0) }
      for index in 0..<4 {
        let digit = Int(word >> UInt32(18 - 6 * index)) & 63
        append(index <= size ? alphabet.utf8Start[digit] : UInt8(ascii: "="))
      }
      position += 3
    }
  }

  /// Appends bytes as one line of text: line feeds become `\n`, carriage returns `\r`, so that a record stays a line.
  public mutating func append(line bytes: Bytes) {
    bytes.withUnsafeBytes { raw in
      var start = 0
      for index in 0..<raw.count where raw[index] == 10 || raw[index] == 13 {
        append(UnsafeRawBufferPointer(rebasing: raw[start..<index]))
        append(raw[index] == 10 ? "\\n" : "\\r")
        start = index + 1
      }
      append(UnsafeRawBufferPointer(rebasing: raw[start...]))
    }
  }
}
