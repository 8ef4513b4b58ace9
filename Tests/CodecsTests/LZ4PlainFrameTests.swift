import Codecs
import Groundwork
import Testing

/// The short way through lz4 frames says what the frame library says.
///
/// An empty frame in front changes no content and makes the bytes something the short way does not take, so that each
/// input is judged by both.
@Suite struct LZ4PlainFrameTests {
  static let magic: [UInt8] = [0x04, 0x22, 0x4D, 0x18]
  static let emptyFrame = magic + [0x60, 0x40, 0x82, 0, 0, 0, 0]
  /// FLG, BD and header checksum as `LZ4F_compressBegin` of lz4 1.9.4 writes them for its four block sizes.
  static let headers: [(blockMax: Int, bytes: [UInt8])] = [
    (65_536, [0x60, 0x40, 0x82]), (262_144, [0x60, 0x50, 0xFB]), (1_048_576, [0x60, 0x60, 0x51]),
    (4_194_304, [0x60, 0x70, 0x73]),
  ]

  private func content(_ bytes: [UInt8], _ workspace: CodecWorkspace, limit: Int = 8 << 20) -> Bytes? {
    try? workspace.decompress(Bytes(bytes), with: .lz4, limit: limit)
  }

  /// What both ways say; a failure where they differ.
  private func judged(_ bytes: [UInt8], _ workspace: CodecWorkspace, _ failures: inout [String]) -> Bytes? {
    let short = content(bytes, workspace)
    if short != content(Self.emptyFrame + bytes, workspace) { failures.append("\(bytes.prefix(40))") }
    return short
  }

  private func block(_ bytes: [UInt8], isCompressed: Bool) -> [UInt8] {
    let field = UInt32(bytes.count) | (isCompressed ? 0 : 0x8000_0000)
    return (0..<4).map { UInt8(truncatingIfNeeded: field >> (8 * $0)) } + bytes
  }

  @Test func blocksOfAllKindsAndSizes() throws {
    let workspace = CodecWorkspace()
    var failures: [String] = []
    // "ab" and then "ab" again 20 times: a literal run of 2, a match of 4 + 15 + 19 bytes at distance 2, and the last
    // five bytes as literals (lz4_Block_format.md).
    let block1 = block([0x2F, 97, 98, 2, 0, 19, 0x50, 97, 98, 97, 98, 97], isCompressed: true)
    let text1 = [UInt8]((0..<45).map { $0 % 2 == 0 ? 97 : 98 })
    for header in Self.headers {
      let raw = [UInt8]((0..<header.blockMax).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) })
      let head = Self.magic + header.bytes
      let whole = head + block(raw, isCompressed: false) + block1
      #expect(judged(whole + [0, 0, 0, 0], workspace, &failures) == Bytes(raw + text1))
      // A match that reaches into the block before: these blocks are independent.
      let linked = block([0x0F, 2, 0, 19, 0x50, 97, 98, 97, 98, 97], isCompressed: true)
      #expect(judged(head + block1 + linked + [0, 0, 0, 0], workspace, &failures) == nil)
      // No end mark; bytes behind it; a block beyond the largest; a header that another checksum belongs to.
      #expect(judged(whole, workspace, &failures) == nil)
      #expect(judged(whole + [0, 0, 0, 0, 1], workspace, &failures) == nil)
      #expect(judged(head + block(raw + [1], isCompressed: false) + [0, 0, 0, 0], workspace, &failures) == nil)
      #expect(
        judged(Self.magic + header.bytes.dropLast() + [1] + block1 + [0, 0, 0, 0], workspace, &failures) == nil)
      #expect(content(whole + [0, 0, 0, 0], workspace, limit: raw.count + text1.count - 1) == nil)
      #expect(content(whole + [0, 0, 0, 0], workspace, limit: raw.count + text1.count) == Bytes(raw + text1))
    }
    #expect(failures == [])
  }

  @Test func cutAndAlteredFramesAreJudgedAlike() throws {
    let workspace = CodecWorkspace()
    var random = SeededRandom(seed: 4)
    let text = Bytes((0..<3000).map { _ in UInt8.random(in: 97...105, using: &random) })
    let noise = Bytes((0..<200).map { _ in UInt8.random(in: 0...255, using: &random) })
    var failures: [String] = []
    var read = 0
    for content in [text, noise, Bytes("short"), Bytes()] {
      let frame = Array(try workspace.compress(content, with: .lz4))
      #expect(judged(frame, workspace, &failures) == content)
      // Not at 0: no bytes behind the empty frame are that frame.
      for count in 1..<min(frame.count, 600) {
        if judged(Array(frame.prefix(count)), workspace, &failures) != nil { failures.append("cut at \(count)") }
      }
      for _ in 0..<3000 {
        var altered = frame
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          let place = Int.random(
            in: 0..<(Bool.random(using: &random) ? min(16, frame.count) : frame.count), using: &random)
          altered[place] = UInt8.random(in: 0...255, using: &random)
        }
        if judged(altered, workspace, &failures) != nil { read += 1 }
      }
    }
    #expect(failures == [])
    #expect(read > 100)
  }
}
