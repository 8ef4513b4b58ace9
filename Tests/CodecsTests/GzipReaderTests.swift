import Codecs
import Groundwork
import Testing

@Suite struct GzipReaderTests {
  /// `printf 'hello, gzip\n' | gzip -n`, by GNU gzip 1.12.
  static let hello = Bytes(
    [
      0x1F, 0x8B, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 0xD7, 0x51, 0x48, 0xAF,
      0xCA, 0x2C, 0xE0, 0x02, 0x00, 0x86, 0x1F, 0x82, 0xA4, 0x0C, 0x00, 0x00, 0x00,
    ] as [UInt8])

  private func pieces(_ compressed: Bytes, limit: Int, pieceSize: Int) throws(CodecError) -> [Bytes] {
    let reader = try GzipReader(compressed, limit: limit, pieceSize: pieceSize)
    var pieces: [Bytes] = []
    while let piece = try reader.next() { pieces.append(piece) }
    return pieces
  }

  @Test func piecesAreTheContent() throws {
    let content = Bytes((0..<100_000).map { UInt8(($0 * $0 / 7) & 0xFF) })
    let compressed = try CodecWorkspace().compress(content, with: .gzip)
    for size in [1 << 20, 100_000, 99_999, 4096, 1000] {
      let pieces = try pieces(compressed, limit: 100_000, pieceSize: size)
      #expect(pieces.dropLast().allSatisfy { $0.count == size })
      #expect(Bytes(pieces.joined()) == content)
    }
    #expect(try GzipReader.contents(of: compressed, limit: 100_000) == content)
    let twice = Bytes(Array(compressed) + Array(compressed))
    #expect(try Bytes(pieces(twice, limit: 200_000, pieceSize: 64_000).joined()).count == 200_000)
  }

  @Test func otherToolsMembersAreRead() throws {
    #expect(try GzipReader.contents(of: Self.hello, limit: 12) == "hello, gzip\n")
    #expect(try pieces(Self.hello, limit: 12, pieceSize: 5) == ["hello", ", gzi", "p\n"])
  }

  @Test func limitsAndCutsAreErrors() throws {
    #expect(throws: CodecError(.gzip, .tooLarge(limit: 11))) { try pieces(Self.hello, limit: 11, pieceSize: 5) }
    var failures: [Int] = []
    for count in 0..<Self.hello.count where (try? pieces(Self.hello[0..<count], limit: 100, pieceSize: 5)) != nil {
      failures.append(count)
    }
    #expect(failures == [])
    let corrupt = Bytes(Array(Self.hello.dropLast(5)) + [0, 12, 0, 0, 0])
    #expect(throws: CodecError(.gzip, .corrupt("incorrect data check"))) {
      try pieces(corrupt, limit: 100, pieceSize: 100)
    }
    let empty = try CodecWorkspace().compress("", with: .gzip)
    #expect(try pieces(empty, limit: 0, pieceSize: 10) == [])
  }
}
