import Codecs
import Groundwork
import Testing

/// Every codec gives back what it was given, within its limit, and says no to everything else.
@Suite struct CodecTests {
  /// Contents of different kinds: empty, tiny, repeated, text, noise.
  static func contents() -> [Bytes] {
    var random = SeededRandom(seed: 1)
    var contents: [Bytes] = ["", "x", "hello hello hello hello"]
    for size in [15, 16, 1000, 32_767, 32_768, 32_769, 65_536, 200_000] {
      contents.append(Bytes(repeatElement(UInt8(65), count: size)))
      contents.append(Bytes((0..<size).map { UInt8(truncatingIfNeeded: $0 % 251) }))
      contents.append(Bytes((0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }))
      contents.append(Bytes((0..<size).map { _ in UInt8.random(in: 97...104, using: &random) }))
    }
    return contents
  }

  static let compressing = CompressionCodec.allCases.filter { $0 != .none }

  @Test(arguments: CompressionCodec.allCases) func contentsComeBack(_ codec: CompressionCodec) throws {
    let workspace = CodecWorkspace()
    for content in Self.contents() {
      let compressed = try workspace.compress(content, with: codec)
      #expect(try workspace.decompress(compressed, with: codec, limit: content.count) == content)
      // A workspace that never saw the like.
      #expect(try CodecWorkspace().decompress(compressed, with: codec, limit: 1 << 20) == content)
    }
  }

  @Test(arguments: CompressionCodec.allCases) func limitsHold(_ codec: CompressionCodec) throws {
    let workspace = CodecWorkspace()
    for content in Self.contents() where content.count > 0 {
      let compressed = try workspace.compress(content, with: codec)
      #expect(throws: CodecError(codec, .tooLarge(limit: content.count - 1))) {
        try workspace.decompress(compressed, with: codec, limit: content.count - 1)
      }
    }
  }

  @Test(arguments: compressing) func everyPrefixIsAnError(_ codec: CompressionCodec) throws {
    let workspace = CodecWorkspace()
    let content = Bytes((0..<300).map { UInt8($0 % 50) })
    let compressed = try workspace.compress(content, with: codec)
    var failures: [Int] = []
    for count in 0..<compressed.count {
      do throws(CodecError) {
        let result = try workspace.decompress(compressed[0..<count], with: codec, limit: 1 << 20)
        // Xerial's framing has no end mark: a header without blocks is an empty content.
        if codec != .snappy || !result.isEmpty { failures.append(count) }
      } catch {
        if error.codec != codec { failures.append(count) }
      }
    }
    #expect(failures == [])
  }

  @Test(arguments: compressing) func alteredBytesDoNoHarm(_ codec: CompressionCodec) throws {
    let workspace = CodecWorkspace()
    var random = SeededRandom(seed: 2)
    let content = Bytes((0..<5000).map { _ in UInt8.random(in: 97...110, using: &random) })
    let compressed = Array(try workspace.compress(content, with: codec))
    var refused = 0
    for _ in 0..<4000 {
      var altered = compressed
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        // Headers more often than their share.
        let place = Int.random(in: 0..<(Bool.random(using: &random) ? 24 : altered.count), using: &random)
        altered[place] = UInt8.random(in: 0...255, using: &random)
      }
      do { _ = try workspace.decompress(Bytes(altered), with: codec, limit: 1 << 20) } catch { refused += 1 }
    }
    #expect(refused > 500)
    #expect(try workspace.decompress(Bytes(compressed), with: codec, limit: 1 << 20) == content)
  }

  @Test(arguments: compressing) func noiseDoesNoHarm(_ codec: CompressionCodec) throws {
    let workspace = CodecWorkspace()
    var random = SeededRandom(seed: 3)
    for _ in 0..<3000 {
      let noise = Bytes(
        (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
      do {
        let result = try workspace.decompress(noise, with: codec, limit: 10_000)
        #expect(result.count <= 10_000)
      } catch { #expect(error.codec == codec) }
    }
  }

  @Test func snappyIsReadRawAndFramed() throws {
    let workspace = CodecWorkspace()
    // A literal of five bytes, by snappy's format_description.txt: length 5, tag (5 - 1) << 2, the bytes.
    let raw = Bytes([5, 16] + Array("hello".utf8))
    #expect(try workspace.decompress(raw, with: .snappy, limit: 100) == "hello")
    let header: [UInt8] = [0x82, 0x53, 0x4E, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    let framed = Bytes(header + [0, 0, 0, 7] + Array(raw) + [0, 0, 0, 7] + Array(raw))
    #expect(try workspace.decompress(framed, with: .snappy, limit: 100) == "hellohello")
    let ours = try workspace.compress(Bytes(repeatElement(UInt8(1), count: 70_000)), with: .snappy)
    #expect(Array(ours.prefix(16)) == header)
    // Blocks that claim too much, too little, or another version.
    for wrong in [
      header + [0, 0, 0, 8] + Array(raw), header + [0xFF, 0, 0, 7] + Array(raw), header + [0, 0, 0, 0],
      Array(header.dropLast()) + [2, 0, 0, 0, 7] + Array(raw), header + [0, 0], Array(header.prefix(9)),
    ] {
      #expect(throws: CodecError.self) { try workspace.decompress(Bytes(wrong), with: .snappy, limit: 100) }
    }
  }

  @Test func sizesThatAreClaimedAreNotAllocated() throws {
    let workspace = CodecWorkspace()
    // Snappy: a preamble of 4 GiB - 1 and nothing behind it.
    #expect(throws: CodecError.self) {
      try workspace.decompress(Bytes([0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0]), with: .snappy, limit: .max)
    }
    // gzip: a true stream whose last four bytes claim 4 GiB - 1.
    var gzip = Array(try workspace.compress("some content, more content", with: .gzip))
    gzip.replaceSubrange((gzip.count - 4)..., with: [0xFF, 0xFF, 0xFF, 0xFF])
    #expect(throws: CodecError.self) { try workspace.decompress(Bytes(gzip), with: .gzip, limit: .max) }
    // zstd: magic, a descriptor with an 8-byte size and a single segment, that size, an empty last block (RFC 8878).
    let zstd: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0]
    #expect(throws: CodecError.self) { try workspace.decompress(Bytes(zstd), with: .zstd, limit: .max) }
    // A claim that is believed would have left an arena of its size behind.
    let before = workspace.arenasMade
    #expect(try workspace.decompress(workspace.compress("x", with: .zstd), with: .zstd, limit: 100) == "x")
    #expect(workspace.arenasMade == before)
  }

  @Test func longRunsGrowIntoMemory() throws {
    let workspace = CodecWorkspace()
    let content = Bytes(repeatElement(UInt8(0), count: 6_000_000))
    for codec in Self.compressing {
      let compressed = try workspace.compress(content, with: codec)
      #expect(try workspace.decompress(compressed, with: codec, limit: 6_000_000) == content, "\(codec)")
    }
  }

  @Test func concatenatedStreamsAreOne() throws {
    let workspace = CodecWorkspace()
    for codec in [CompressionCodec.gzip, .lz4, .zstd] {
      let one = Array(try workspace.compress("first, ", with: codec))
      let two = Array(try workspace.compress("second", with: codec))
      #expect(try workspace.decompress(Bytes(one + two), with: codec, limit: 100) == "first, second")
      #expect(throws: CodecError.self) {
        try workspace.decompress(Bytes(one + two.dropLast()), with: codec, limit: 100)
      }
    }
  }

  @Test func framesThatWereLeftInTheMiddleAreForgotten() throws {
    let workspace = CodecWorkspace()
    let content = Bytes(repeatElement(UInt8(5), count: 3000))
    // A frame with a content size (flag 8 of 0x68), cut behind its header: magic, FLG, BD, the size, header checksum by
    // xxHash. Version 1.9.4 of the library keeps that size when it is reset.
    let cut: [UInt8] = [0x04, 0x22, 0x4D, 0x18, 0x68, 0x40, 5, 0, 0, 0, 0, 0, 0, 0]
    let plain = try workspace.compress(content, with: .lz4)
    for checksum in UInt8.min...UInt8.max {
      #expect(throws: CodecError.self) { try workspace.decompress(Bytes(cut + [checksum]), with: .lz4, limit: 100) }
      #expect(try workspace.decompress(plain, with: .lz4, limit: 3000) == content)
    }
  }

  @Test func levelsAreChecked() throws {
    let workspace = CodecWorkspace()
    let content = Bytes((0..<2000).map { UInt8($0 % 90) })
    for codec in CompressionCodec.allCases {
      guard let levels = codec.levels else {
        #expect(throws: CodecError(codec, .invalidLevel(1))) { try workspace.compress(content, with: codec, level: 1) }
        continue
      }
      for level in [levels.lowerBound, levels.upperBound, 1, 5] {
        let compressed = try workspace.compress(content, with: codec, level: level)
        #expect(try workspace.decompress(compressed, with: codec, limit: 2000) == content)
      }
      for level in [levels.lowerBound - 1, levels.upperBound + 1] {
        #expect(throws: CodecError(codec, .invalidLevel(level))) {
          try workspace.compress(content, with: codec, level: level)
        }
      }
    }
    #expect(
      CodecError(.gzip, .invalidLevel(12)).description == "gzip has no compression level 12; choose one from 1 to 9")
    #expect(
      CodecError(.snappy, .invalidLevel(1)).description == "snappy has no compression levels; leave the level out")
  }

  @Test func namesAndNumbersAreKafkas() {
    #expect(CompressionCodec.allCases.map(\.name) == ["none", "gzip", "snappy", "lz4", "zstd"])
    #expect(CompressionCodec.allCases.map(\.rawValue) == [0, 1, 2, 3, 4])
    for codec in CompressionCodec.allCases { #expect(CompressionCodec(name: codec.name.uppercased()) == codec) }
    #expect(CompressionCodec(name: "uncompressed") == CompressionCodec.none)
    #expect(CompressionCodec(name: "producer") == nil)
  }
}
