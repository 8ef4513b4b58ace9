import Groundwork
import Testing
import WireFormat

/// Every read is held to its bounds, and a failed one says where.
@Suite struct WireReaderTests {
  @Test func integersAreBigEndian() throws {
    let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 0xFF, 0xFE, 0x80]
    var reader = WireReader(bytes.span.bytes)
    let long = try reader.read(Int64.self)
    let short = try reader.read(Int16.self)
    let byte = try reader.read(Int8.self)
    #expect(long == 0x0102_0304_0506_0708)
    #expect(short == -2)
    #expect(byte == -128)
    let remaining = reader.remaining
    let position = reader.position
    #expect(remaining == 0)
    #expect(position == 11)
  }

  @Test func readsBeyondTheEndAreErrorsAndMoveNothing() {
    for count in 0..<8 {
      let bytes = [UInt8](repeating: 0xAA, count: count)
      var reader = WireReader(bytes.span.bytes, origin: 100)
      let error = failure { () throws(DecodeError) in _ = try reader.read(Int64.self) }
      #expect(error == DecodeError(.truncated(wanted: 8, remaining: count), at: 100))
      let position = reader.position
      #expect(position == 0)
    }
  }

  @Test func lengthsThatLieAreErrors() {
    let bytes = [UInt8](repeating: 7, count: 10)
    for length in [-1, 11, Int.min, Int.max] {
      var reader = WireReader(bytes.span.bytes)
      let expected = DecodeError(
        length < 0 ? .impossibleLength(Int64(length)) : .truncated(wanted: length, remaining: 10), at: 0)
      #expect(failure { () throws(DecodeError) in _ = try reader.skip(length) } == expected)
      #expect(failure { () throws(DecodeError) in _ = try reader.readText(length) } == expected)
      #expect(failure { () throws(DecodeError) in _ = try reader.child(length).remaining } == expected)
    }
  }

  @Test func childrenCannotReadPastTheirEnd() throws {
    let bytes: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 7]
    var reader = WireReader(bytes.span.bytes, origin: 50)
    _ = try reader.read(UInt8.self)
    var child = try reader.child(3)
    let first = try child.read(UInt16.self)
    #expect(first == 0x0102)
    let error = failure { () throws(DecodeError) in _ = try child.read(UInt16.self) }
    #expect(error == DecodeError(.truncated(wanted: 2, remaining: 1), at: 53))
    // The parent went past the child, whatever the child read.
    let next = try reader.read(UInt8.self)
    #expect(next == 4)
    var grandchild = try child.child(1)
    let last = try grandchild.read(UInt8.self)
    #expect(last == 3)
    let deep = failure { () throws(DecodeError) in _ = try grandchild.read(UInt8.self) }
    #expect(deep == DecodeError(.truncated(wanted: 1, remaining: 0), at: 54))
  }

  @Test func varintsOfAllSizesComeBack() throws {
    var failures: [String] = []
    var values: [UInt64] = [0, 1, 127, 128, 16_383, 16_384, .max, .max - 1]
    for bit in UInt64(0)..<64 { values += [1 << bit, (1 << bit) - 1, (1 << bit) + 1] }
    for value in values {
      var writer = ByteWriter()
      writer.append(unsignedVarint: value)
      writer.append(varint: Int64(bitPattern: value))
      let bytes = Array(writer.finish())
      var reader = WireReader(bytes.span.bytes)
      let plain = try reader.readUnsignedVarint()
      let signed = try reader.readVarint()
      let remaining = reader.remaining
      if plain != value || signed != Int64(bitPattern: value) || remaining != 0 { failures.append("\(value)") }
      for count in 0..<(value < 128 ? 1 : 2) {
        let cut = Array(bytes.prefix(count))
        var reader = WireReader(cut.span.bytes)
        let error = failure { () throws(DecodeError) in _ = try reader.readUnsignedVarint() }
        if error?.code != .truncated(wanted: 1, remaining: 0) { failures.append("\(value) cut at \(count)") }
      }
    }
    #expect(failures == [])
  }

  @Test func knownVarints() throws {
    // The examples of Protocol Buffers' encoding guide, and the ends of Kafka's 32 and 64 bits.
    for (bytes, unsigned, signed) in [
      ([0x96, 0x01], 150, 75), ([0x01], 1, -1), ([0x02], 2, 1),
      ([0xFE, 0xFF, 0xFF, 0xFF, 0x0F], 4_294_967_294, 2_147_483_647),
      ([0xFF, 0xFF, 0xFF, 0xFF, 0x0F], 4_294_967_295, -2_147_483_648),
    ] as [([UInt8], UInt64, Int64)] {
      var one = WireReader(bytes.span.bytes)
      let first = try one.readUnsignedVarint()
      #expect(first == unsigned)
      var two = WireReader(bytes.span.bytes)
      let second = try two.readVarint32()
      #expect(Int64(second) == signed)
    }
  }

  @Test func overlongVarintsAreErrors() throws {
    let tooLong = [UInt8](repeating: 0x80, count: 10) + [0]
    var reader = WireReader(tooLong.span.bytes)
    let error = failure { () throws(DecodeError) in _ = try reader.readUnsignedVarint() }
    #expect(error?.code == .overlongVarint)
    let tooLarge = [UInt8](repeating: 0xFF, count: 9) + [2]
    var large = WireReader(tooLarge.span.bytes)
    let largeError = failure { () throws(DecodeError) in _ = try large.readUnsignedVarint() }
    #expect(largeError?.code == .overlongVarint)
    let full = [UInt8](repeating: 0xFF, count: 9) + [1]
    var last = WireReader(full.span.bytes)
    let value = try last.readUnsignedVarint()
    #expect(value == .max)
    // One more than 32 bits hold.
    for outside in [Int64(Int32.max) + 1, Int64(Int32.min) - 1] {
      var writer = ByteWriter()
      writer.append(varint: outside)
      let bytes = Array(writer.finish())
      var reader = WireReader(bytes.span.bytes)
      let error = failure { () throws(DecodeError) in _ = try reader.readVarint32() }
      #expect(error?.code == .overlongVarint)
    }
  }

  @Test func textIsUTF8() throws {
    let bytes = Array("gr\u{fc}n".utf8) + [0xFF]
    var reader = WireReader(bytes.span.bytes)
    let text = try reader.readText(5)
    #expect(text == "gr\u{fc}n")
    let error = failure { () throws(DecodeError) in _ = try reader.readText(1) }
    #expect(error == DecodeError(.invalidText, at: 5))
  }

  @Test func errorsAreReadable() {
    #expect(DecodeError(.truncated(wanted: 8, remaining: 3), at: 12).description == "8 bytes wanted, 3 left at byte 12")
    #expect(DecodeError(.impossibleLength(-5), at: 0).description == "an impossible length of -5 at byte 0")
    #expect(
      DecodeError(.checksumMismatch(stored: 255, computed: 16), at: 4).description
        == "checksum mismatch (stored ff, computed 10) at byte 4")
    #expect(DecodeError(.trailingBytes(2), at: 9).description == "2 bytes too many at byte 9")
    #expect(DecodeError(.invalid("no such thing"), at: 9).description == "no such thing at byte 9")
  }
}

/// What `body` throws; `#expect(throws:)` takes no reader, which cannot escape.
private func failure(_ body: () throws(DecodeError) -> Void) -> DecodeError? {
  do throws(DecodeError) {
    try body()
    return nil
  } catch { return error }
}
