import Groundwork
import KafkaProtocol
import WireFormat

/// Fills the fields from a counter in wire order, by the rule that `Golden/Messages/make_messages.py` states.
struct GoldenFiller: FieldCoder {
  let version: Int16
  let isFlexible: Bool
  var counter: Int64 = 0

  init(version: Int16, isFlexible: Bool) {
    self.version = version
    self.isFlexible = isFlexible
  }

  private mutating func next() -> Int64 {
    counter += 1
    return counter
  }

  mutating func code(_ field: inout Bool) { field = next() % 2 == 1 }
  mutating func code(_ field: inout Int8) { field = Int8(next() % 100) }
  mutating func code(_ field: inout Int16) { field = Int16(next()) }
  mutating func code(_ field: inout Int32) { field = Int32(next() * 1000 + 7) }
  mutating func code(_ field: inout Int64) { field = next() * 100_000 + 9 }
  mutating func code(_ field: inout UUID128) {
    let n = UInt64(next())
    func word(_ from: UInt64) -> UInt64 { (0..<8).reduce(0) { $0 << 8 | ((n + from + $1) % 256) } }
    field = UUID128(high: word(0), low: word(8))
  }
  mutating func code(_ field: inout String) { field = "s\(next())" }
  mutating func code(_ field: inout String?) {
    let n = next()
    field = n % 5 == 0 ? nil : "s\(n)"
  }
  mutating func code(_ field: inout Bytes) { field = Bytes("b\(next())") }
  mutating func code(_ field: inout Bytes?) {
    let n = next()
    field = n % 5 == 0 ? nil : Bytes("b\(n)")
  }

  private mutating func two<Element: WireValue>() throws(DecodeError) -> [Element] {
    var elements = [Element(), Element()]
    for index in 0..<2 { try elements[index].code(&self) }
    return elements
  }

  mutating func code<Element: WireValue>(_ field: inout [Element]) throws(DecodeError) {
    counter += 1
    field = try two()
  }
  mutating func code<Element: WireValue>(_ field: inout [Element]?) throws(DecodeError) {
    field = next() % 5 == 0 ? nil : try two()
  }

  mutating func endOfFields() {}
  mutating func endOfFields<Structure: TaggedFields>(of structure: inout Structure) throws(DecodeError) {
    guard isFlexible else { return }
    for tag in Structure.tags(version) { try structure.code(tag: tag, &self) }
  }
}
