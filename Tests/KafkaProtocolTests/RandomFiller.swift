import Groundwork
import KafkaProtocol
import WireFormat

/// A coder that fills the fields a version has with random values, so that a message can be compared with what comes
/// back; fields of other versions keep their defaults.
struct RandomFiller: FieldCoder {
  let version: Int16
  let isFlexible: Bool
  var random: SeededRandom
  /// Elements still allowed: nested arrays must not multiply without bound.
  var budget = 40

  init(version: Int16, isFlexible: Bool, seed: UInt64) {
    self.version = version
    self.isFlexible = isFlexible
    random = SeededRandom(seed: seed)
  }

  private mutating func text() -> String {
    let choices = ["", "a", "topic-1", "naïve", "日本語", String(repeating: "x", count: 300)]
    return choices[Int.random(in: 0..<choices.count, using: &random)]
  }

  private mutating func bytes() -> Bytes {
    // Beyond the encoder's part threshold now and then, so that frames of several parts are met.
    let count = Int.random(in: 0..<20, using: &random) == 0 ? 3000 : Int.random(in: 0..<40, using: &random)
    return Bytes((0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) })
  }

  mutating func code(_ field: inout Bool) { field = Bool.random(using: &random) }
  mutating func code(_ field: inout Int8) { field = Int8.random(in: .min ... .max, using: &random) }
  mutating func code(_ field: inout Int16) { field = Int16.random(in: .min ... .max, using: &random) }
  mutating func code(_ field: inout Int32) { field = Int32.random(in: .min ... .max, using: &random) }
  mutating func code(_ field: inout Int64) { field = Int64.random(in: .min ... .max, using: &random) }
  mutating func code(_ field: inout UUID128) { field = UUID128(high: random.next(), low: random.next()) }
  mutating func code(_ field: inout String) { field = text() }
  mutating func code(_ field: inout String?) { field = Bool.random(using: &random) ? text() : nil }
  mutating func code(_ field: inout Bytes) { field = bytes() }
  mutating func code(_ field: inout Bytes?) { field = Bool.random(using: &random) ? bytes() : nil }

  private mutating func elements<Element: WireValue>() throws(DecodeError) -> [Element] {
    let count = min(budget, Int.random(in: 0..<4, using: &random))
    budget -= count
    var elements: [Element] = []
    for _ in 0..<count {
      var element = Element()
      try element.code(&self)
      elements.append(element)
    }
    return elements
  }

  mutating func code<Element: WireValue>(_ field: inout [Element]) throws(DecodeError) { field = try elements() }
  mutating func code<Element: WireValue>(_ field: inout [Element]?) throws(DecodeError) {
    field = Bool.random(using: &random) ? try elements() : nil
  }

  mutating func endOfFields() {}
  mutating func endOfFields<Structure: TaggedFields>(of structure: inout Structure) throws(DecodeError) {
    guard isFlexible else { return }
    for tag in Structure.tags(version) where Bool.random(using: &random) { try structure.code(tag: tag, &self) }
  }

  static func fill<Message: KafkaMessage>(
    _ type: Message.Type, _ version: Int16, seed: UInt64
  ) throws -> Message {
    var message = Message()
    var filler = RandomFiller(version: version, isFlexible: Message.isFlexible(version), seed: seed)
    try message.code(&filler)
    return message
  }
}
