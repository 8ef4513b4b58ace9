import Groundwork
import Testing

/// The canonical encoding: what goes in comes out, equal values are equal bytes, and nothing else is accepted.
@Suite struct StreamCodableTests {
  private func check<Value: StreamCodable & Equatable>(_ values: [Value], _ failures: inout [String]) {
    for value in values {
      let encoded = value.streamEncoded
      do {
        if try Value.streamDecoded(encoded) != value { failures.append("\(value) comes back as another") }
        if try Value.streamDecoded(encoded).streamEncoded != encoded { failures.append("\(value) is not canonical") }
      } catch { failures.append("\(value): \(error)") }
      for count in 0..<encoded.count where (try? Value.streamDecoded(encoded[0..<count])) != nil {
        failures.append("\(value) cut at \(count)")
      }
      if (try? Value.streamDecoded(Bytes(Array(encoded) + [0]))) != nil { failures.append("\(value) and more") }
    }
  }

  @Test func valuesComeBack() {
    var failures: [String] = []
    check([true, false], &failures)
    check([0, 1, -1, 63, 64, -64, -65, .max, .min] as [Int], &failures)
    check([0, 1, -1, .max, .min] as [Int8], &failures)
    check([0, 1, -1, .max, .min] as [Int16], &failures)
    check([0, 1, -1, .max, .min] as [Int32], &failures)
    check([0, 1, 127, 128, .max] as [UInt64], &failures)
    check([0, 1, 127, 128, .max] as [UInt8], &failures)
    check([0, 1.5, -1.5, .infinity, -.infinity, .pi, .leastNonzeroMagnitude] as [Double], &failures)
    check([0, 1.5, -1.5, .infinity, .pi] as [Float], &failures)
    check(["", "a", "gr\u{fc}n", String(repeating: "x", count: 200)], &failures)
    check([Bytes(), "fifteen bytes!!", "sixteen bytes!!!", Bytes([0, 255])], &failures)
    check([nil, 5, -5] as [Int?], &failures)
    check([nil, .some(nil), 5] as [Int??], &failures)
    check([[], [1], [1, -2, 300]] as [[Int]], &failures)
    check([["a", nil], []] as [[String?]], &failures)
    check([StreamPair("key", 5), StreamPair("", -1)], &failures)
    #expect(failures == [])
  }

  @Test func randomBytesAreRefusedOrCanonical() {
    var failures: [String] = []
    func check<Value: StreamCodable>(_ bytes: Bytes, _ type: Value.Type) {
      guard let value = try? type.streamDecoded(bytes) else { return }
      if value.streamEncoded != bytes { failures.append("\(Array(bytes)) as \(type)") }
    }
    var random = SeededRandom(seed: 4)
    for _ in 0..<20_000 {
      let bytes = Bytes(
        (0..<Int.random(in: 0...12, using: &random)).map { _ in
          [0, 1, 2, 3, 0x7F, 0x80, 0x81, 0xFF][Int.random(in: 0..<8, using: &random)] as UInt8
        })
      check(bytes, Int.self)
      check(bytes, Int8.self)
      check(bytes, UInt64.self)
      check(bytes, Bool.self)
      check(bytes, String.self)
      check(bytes, Bytes.self)
      check(bytes, [Int?].self)
      check(bytes, StreamPair<Bytes, Int>.self)
    }
    #expect(failures == [])
  }

  @Test func equalNumbersAreEqualBytes() {
    #expect((-0.0).streamEncoded == 0.0.streamEncoded)
    #expect(Double.signalingNaN.streamEncoded == Double.nan.streamEncoded)
    #expect((-Double.nan).streamEncoded == Double.nan.streamEncoded)
    #expect(Int8(-5).streamEncoded == Int64(-5).streamEncoded)
    #expect(UInt8(200).streamEncoded == UInt64(200).streamEncoded)
    #expect("text".streamEncoded == Bytes("text").streamEncoded)
  }

  /// Written to disk by every release: these never change.
  @Test func encodingsAreFixed() {
    #expect(Array(300.streamEncoded) == [0xD8, 0x04])
    #expect(Array(UInt(300).streamEncoded) == [0xAC, 0x02])
    #expect(Array("ab".streamEncoded) == [2, 97, 98])
    #expect(Array(1.0.streamEncoded) == [0x3F, 0xF0, 0, 0, 0, 0, 0, 0])
    #expect(Array(true.streamEncoded) == [1])
    #expect(Array(Int?.none.streamEncoded) == [0])
    #expect(Array(Int?(1).streamEncoded) == [1, 2])
    #expect(Array([1, 2].streamEncoded) == [2, 2, 4])
    #expect(Array(StreamPair("k", 1).streamEncoded) == [1, 107, 2])
  }

  @Test func numbersThatDoNotFitAreRefused() {
    #expect((try? Int8.streamDecoded(200.streamEncoded)) == nil)
    #expect((try? UInt8.streamDecoded(UInt(256).streamEncoded)) == nil)
    // More than 64 bits, and longer than need be.
    #expect((try? UInt64.streamDecoded(Bytes([UInt8](repeating: 0xFF, count: 9) + [2]))) == nil)
    #expect((try? UInt64.streamDecoded(Bytes([0x80, 0]))) == nil)
    #expect((try? UInt64.streamDecoded(Bytes([UInt8](repeating: 0x80, count: 10) + [1]))) == nil)
    // A count that claims more than is there allocates nothing.
    #expect((try? [Int].streamDecoded(Bytes([0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0]))) == nil)
  }
}
