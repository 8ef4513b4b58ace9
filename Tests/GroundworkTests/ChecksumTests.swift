import CPrimitives
import Groundwork
import Testing

/// CRC-32C: published values, and the instruction against the table.
@Suite struct ChecksumTests {
  private func crc(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { sluice_crc32c(0, $0.baseAddress, $0.count) } }

  /// RFC 3720, appendix B.4, and the usual check value.
  @Test func publishedValues() {
    #expect(crc([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(crc([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(crc((0..<32).map { $0 }) == 0x46DD_794E)
    #expect(crc((0..<32).reversed().map { $0 }) == 0x113F_DB5C)
    #expect(crc(Array("123456789".utf8)) == 0xE306_9283)
    #expect(crc([]) == 0)
  }

  @Test func allVersionsAgree() {
    var random = SeededRandom(seed: 6)
    let bytes = (0..<60_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    var failures: [String] = []
    bytes.withUnsafeBytes { raw in
      func check(_ start: Int, _ count: Int, _ initial: UInt32) {
        let address = raw.baseAddress! + start
        let table = sluice_crc32c_table(initial, address, count)
        if sluice_crc32c(initial, address, count) != table { failures.append("\(count) bytes from \(start)") }
        if sluice_crc32c_streams(initial, address, count) != table {
          failures.append("streams: \(count) bytes from \(start)")
        }
      }
      for count in 0...2000 { check(count % 9, count, 0) }
      // Around the lengths where three streams of 256 and of 4096 bytes begin and repeat.
      for streams in [768, 1536, 12_288, 13_056, 24_576, 36_864] {
        for difference in -9...9 {
          for start in 0..<8 { check(start, streams + difference, UInt32(truncatingIfNeeded: start &* 0x9E37_79B9)) }
        }
      }
      check(3, 59_000, 0xFFFF_FFFF)
    }
    #expect(failures == [])
  }

  @Test func piecesContinue() {
    var random = SeededRandom(seed: 7)
    let bytes = (0..<30_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    let whole = crc(bytes)
    var failures: [Int] = []
    bytes.withUnsafeBytes { raw in
      for _ in 0..<300 {
        let cut = Int.random(in: 0...raw.count, using: &random)
        let first = sluice_crc32c(0, raw.baseAddress!, cut)
        if sluice_crc32c(first, raw.baseAddress! + cut, raw.count - cut) != whole { failures.append(cut) }
        let streams = sluice_crc32c_streams(0, raw.baseAddress!, cut)
        if sluice_crc32c_streams(streams, raw.baseAddress! + cut, raw.count - cut) != whole { failures.append(cut) }
        let table = sluice_crc32c_table(0, raw.baseAddress!, cut)
        if sluice_crc32c_table(table, raw.baseAddress! + cut, raw.count - cut) != whole { failures.append(cut) }
      }
    }
    #expect(failures == [])
  }
}
