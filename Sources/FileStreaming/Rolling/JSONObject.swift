import Groundwork

/// One JSON object as it is written (RFC 8259), member by member, on one line.
///
/// Lives inside the closure that gets it. The pointer is to the task's buffer, which outlives that call.
public struct JSONObject: ~Copyable {
  @usableFromInline let writer: UnsafeMutablePointer<ByteWriter>
  @usableFromInline var isFirst = true

  @inlinable init(_ writer: UnsafeMutablePointer<ByteWriter>) {
    self.writer = writer
    writer.pointee.append(UInt8(ascii: "{"))
  }

  @inlinable mutating func finish() { writer.pointee.append(UInt8(ascii: "}")) }

  /// A name and its colon. Names of the usual kind are copied as they stand.
  @usableFromInline mutating func begin(_ name: StaticString) {
    if !isFirst { writer.pointee.append(UInt8(ascii: ",")) }
    isFirst = false
    let bytes = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    guard !bytes.contains(where: { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) else {
      writer.pointee.append(json: Bytes(copying: bytes))
      return writer.pointee.append(UInt8(ascii: ":"))
    }
    writer.pointee.append(UInt8(ascii: "\""))
    writer.pointee.append(bytes)
    writer.pointee.append(UInt8(ascii: "\""))
    writer.pointee.append(UInt8(ascii: ":"))
  }

  /// A member: a string where the bytes are UTF-8 text, else `{"base64":"…"}`; nil is `null`.
  public mutating func set(_ name: StaticString, _ value: Bytes?) {
    begin(name)
    writer.pointee.append(json: value)
  }

  /// A member that is a text; nil is `null`.
  public mutating func set(_ name: StaticString, _ value: String?) {
    begin(name)
    writer.pointee.append(json: value.map { Bytes($0) })
  }

  /// A member that is a whole number.
  public mutating func set(_ name: StaticString, _ value: some BinaryInteger) {
    begin(name)
    writer.pointee.append(String(value))
  }

  /// A member that is a number, in the shortest form that gives it back; what is no finite number is `null`.
  public mutating func set(_ name: StaticString, _ value: Double) {
    begin(name)
    writer.pointee.append(value.isFinite ? "\(value)" : "null")
  }

  /// A member that is `true` or `false`.
  public mutating func set(_ name: StaticString, _ value: Bool) {
    begin(name)
    writer.pointee.append(value ? "true" : "false")
  }
}
