import Groundwork
import Testing

@testable import Datasets

/// What can leave memory, how large it is, and that it comes back as it was.
@Suite struct CodecTests {
  struct Point: StreamCodable, Equatable {
    var x: Int
    var y: String
    func encode(to writer: inout ByteWriter) {
      x.encode(to: &writer)
      y.encode(to: &writer)
    }
    static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Point {
      let x = try Int.decode(from: &reader)
      return Point(x: x, y: try String.decode(from: &reader))
    }
  }
  final class Opaque: Sendable {}

  /// The elements after a way through bytes, and the bytes.
  private func roundTrip<Element>(_ elements: [Element]) throws -> (elements: [Element], bytes: Int) {
    let codec = try #require(ElementCodec<Element>(), "\(Element.self) has no codec")
    var writer = ByteWriter()
    for element in elements { codec.encode(element, into: &writer) }
    let frame = writer.finish()
    for cut in stride(from: 0, to: frame.count, by: max(1, frame.count / 50)) {
      #expect(throws: StreamDecodingError.self) { try codec.decode(frame[0..<cut], count: elements.count) }
    }
    return (try codec.decode(frame, count: elements.count), frame.count)
  }

  private func check<Element>(_ elements: [Element]) throws {
    let (again, _) = try roundTrip(elements)
    #expect("\(again)" == "\(elements)")
  }

  @Test func everythingOrdinaryComesBack() throws {
    let long = String(repeating: "ü", count: 300)
    try check([0, -1, Int.max, Int.min, 300])
    try check([UInt8(7), 255])
    try check([Int32(-7), .max])
    try check(["", "short", long])
    try check([Bytes(), "short", Bytes(long)])
    try check([true, false])
    try check([1.5, -0.0, .infinity, .nan, .leastNonzeroMagnitude])
    try check([Float(1.5), -0.0])
    try check([Int?.none, 3])
    try check([[1, 2], [], [3]])
    try check([Set([1]), Set()])
    try check([["a": 1.5], [:]])
    try check([Point(x: -4, y: long)])
    try check([StreamPair(1, "x")])
    try check([(), ()])
  }

  @Test func tuplesOfAnyDepthComeBack() throws {
    let long = String(repeating: "x", count: 40)
    try check([("a", 1), (long, -2)])
    try check([(UInt8(1), 2.5, true), (2, -0.0, false)])
    try check([(1, ("b", Bytes(long)))])
    try check([("k", ([1, 2], ["v"])), ("l", ([], []))])
    let listed: [(Int, [(String, Double)])] = [(1, [("a", 2.5), (long, 3)])]
    try check(listed)
    try check([(1, (2.5, String?.none)), (2, (3.5, long))])
    try check([("a", ())])
    try check([(Point(x: 1, y: "p"), (Int?.some(3), (false, [Point(x: 2, y: long)])))])
    // Labels change nothing.
    try check([(key: 1, value: "x")])
  }

  @Test func decodedBytesShareNoMemory() throws {
    let value = Bytes(String(repeating: "x", count: 100))
    let again = try roundTrip([(value, 1)]).elements
    #expect(again[0].0 == value)
    #expect(again[0].0.copied == value)
  }

  @Test func whatHasNoCodecSaysSo() {
    #expect(ElementCodec<Opaque>() == nil)
    #expect(ElementCodec<(Int, Opaque)>() == nil)
    #expect(ElementCodec<[Opaque]>() == nil)
    #expect(ElementCodec<Opaque?>() == nil)
    #expect(ElementCodec<(Int, (String, [Int: Opaque]))>() == nil)
    #expect(ElementCodec<Any>() == nil)
    #expect(ElementCodec<@Sendable () -> Void>() == nil)
  }

  @Test func encodingsAreSmall() throws {
    #expect(try roundTrip([("delay", 42)]).bytes == 7)
    #expect(try roundTrip([(Bytes("delay"), 42)]).bytes == 7)
    #expect(try roundTrip([[1, 2, 3]]).bytes == 4)
    #expect(try roundTrip([(2.5, Int?.none)]).bytes == 9)
    let numbers = (0..<1000).map { ("carrier \($0 % 16)", $0) }
    #expect(try roundTrip(numbers).bytes < 1000 * MemoryLayout<(String, Int)>.stride * 3 / 5)
  }

  @Test func tupleLayoutsAreTheCompilers() throws {
    typealias Mixed = (UInt8, Int, (Bool, Double), Bytes)
    let elements = try #require(TupleLayout.elements(of: Mixed.self))
    #expect(elements.map { "\($0.type)" } == ["UInt8", "Int", "(Bool, Double)", "Bytes"])
    #expect(elements.map(\.offset) == [0, 8, 16, 32])
    #expect(TupleLayout.elements(of: Void.self)?.isEmpty == true)
    #expect(TupleLayout.elements(of: Int.self) == nil)
    #expect(TupleLayout.elements(of: Opaque.self) == nil)
    #expect(TupleLayout.elements(of: [Int].self) == nil)
    #expect(TupleLayout.elements(of: Int?.self) == nil)
  }

  @Test func memoryIsEstimatedWithWhatElementsReferTo() {
    func estimate<Element>(_ elements: [Element]) -> Int {
      elements.withUnsafeBufferPointer { ElementSize.estimate($0, ExecutorLocals()) }
    }
    let long = String(repeating: "x", count: 1000)
    #expect(estimate([(Int, Double)](repeating: (1, 2), count: 100)) == 1600)
    #expect(estimate([(Int, Bytes)](repeating: (1, Bytes(long)), count: 100)) == 100 * 1032)
    #expect(estimate([(Bytes, (Int, String))](repeating: ("k", (1, long)), count: 100)) == 100 * (48 + 1032))
    #expect(estimate([[Int]](repeating: Array(0..<100), count: 10)) == 10 * (8 + 32 + 800))
    #expect(estimate([[(String, Int)]](repeating: [(long, 1)], count: 10)) == 10 * (8 + 32 + 24 + 1032))
  }
}
