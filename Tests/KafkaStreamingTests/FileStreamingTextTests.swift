import Groundwork
import Testing

@testable import FileStreaming

/// Bytes as text: against vectors made by Python (`json.dumps(text, ensure_ascii=False)`, `base64.b64encode`).
@Suite struct FileStreamingTextTests {
  private func json(_ bytes: [UInt8]?) -> String {
    var writer = ByteWriter()
    writer.append(json: bytes.map { Bytes($0) })
    return String(writer.finish())
  }

  @Test func textIsAString() {
    #expect(json(Array("plain".utf8)) == #""plain""#)
    #expect(json([]) == #""""#)
    #expect(json(Array("a \"quote\" and \\ back/slash".utf8)) == #""a \"quote\" and \\ back/slash""#)
    #expect(json(Array("tab\tline\nreturn\r".utf8)) == #""tab\tline\nreturn\r""#)
    #expect(json(Array("grüße 日本 🚀 \u{2028}".utf8)) == "\"grüße 日本 🚀 \u{2028}\"")
    #expect(json(Array("\u{7F}".utf8)) == "\"\u{7F}\"")
  }

  /// Python writes \b and \f in the short form; both forms are the same text (RFC 8259, section 7).
  @Test func controlCharactersAreEscaped() {
    let all = (0..<32).map { UInt8($0) }
    #expect(
      json(all)
        == #""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008\t\n\u000b\u000c\r\u000e\u000f\u0010\u0011"#
        + #"\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f""#)
  }

  @Test func nullIsNull() { #expect(json(nil) == "null") }

  @Test func whatIsNoTextIsBase64() {
    #expect(json([0xFF]) == #"{"base64":"/w=="}"#)
    #expect(json([0xFF, 0xFE]) == #"{"base64":"//4="}"#)
    #expect(json([0xFF, 0xFE, 0xFD]) == #"{"base64":"//79"}"#)
    #expect(json([0x00, 0x80, 0x10, 0xFF]) == #"{"base64":"AIAQ/w=="}"#)
    // An overlong form, a surrogate, a sequence cut short, a code point beyond the last.
    #expect(json([0xC0, 0xAF]) == #"{"base64":"wK8="}"#)
    #expect(json([0xED, 0xA0, 0x80]) == #"{"base64":"7aCA"}"#)
    #expect(json([0x61, 0xE2, 0x82]) == #"{"base64":"YeKC"}"#)
    #expect(json([0xF4, 0x90, 0x80, 0x80]) == #"{"base64":"9JCAgA=="}"#)
    #expect(
      json((0..<48).map { UInt8($0 * 5) })
        == #"{"base64":"AAUKDxQZHiMoLTI3PEFGS1BVWl9kaW5zeH2Ch4yRlpugpaqvtLm+w8jN0tfc4ebr"}"#)
  }

  @Test func aRecordStaysOneLine() {
    var writer = ByteWriter()
    writer.append(line: Bytes("a\nb\r\nc"))
    #expect(String(writer.finish()) == #"a\nb\r\nc"#)
    var plain = ByteWriter()
    plain.append(line: Bytes("plain text of more than fifteen bytes"))
    #expect(String(plain.finish()) == "plain text of more than fifteen bytes")
  }
}
