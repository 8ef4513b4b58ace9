import Groundwork
import Testing

@Suite struct ByteWriterTests {
  @Test func writesGrowAndComeBack() {
    var random = SeededRandom(seed: 1)
    var failures: [String] = []
    for round in 0..<200 {
      var writer = ByteWriter(capacity: Int.random(in: 0...100, using: &random))
      var model: [UInt8] = []
      for _ in 0..<Int.random(in: 0...60, using: &random) {
        let number = random.next()
        switch number % 7 {
        case 0:
          writer.append(UInt8(truncatingIfNeeded: number >> 8))
          model.append(UInt8(truncatingIfNeeded: number >> 8))
        case 1:
          writer.append(bigEndian: number)
          model += (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
        case 2:
          let piece = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: Int(number >> 40 % 300))
          piece.withUnsafeBytes { writer.append($0) }
          model += piece
        case 3:
          writer.append(Bytes(model.suffix(20)))
          model += model.suffix(20)
        case 4:
          writer.append("text \(number)")
          model += Array("text \(number)".utf8)
        case 5 where model.count >= 4:
          let place = Int(number >> 32) % (model.count - 3)
          writer.patch(bigEndian: UInt32(truncatingIfNeeded: number), at: place)
          for byte in 0..<4 { model[place + byte] = UInt8(truncatingIfNeeded: number >> UInt64(24 - 8 * byte)) }
        default:
          let count = model.isEmpty ? 0 : Int(number >> 32) % model.count
          writer.truncate(to: model.count - count / 8)
          model.removeLast(count / 8)
        }
        if writer.count != model.count { failures.append("round \(round): count") }
      }
      if Array(writer.copyBytes()) != model { failures.append("round \(round): copy") }
      if Array(writer.finish()) != model { failures.append("round \(round)") }
    }
    #expect(failures == [])
  }

  @Test func finishedBytesMayBeShort() {
    for count in 0...20 {
      var writer = ByteWriter()
      for byte in 0..<count { writer.append(UInt8(byte)) }
      #expect(Array(writer.finish()) == (0..<count).map { UInt8($0) })
    }
  }

  @Test func varintsAreThoseOfProtocolBuffers() {
    var writer = ByteWriter()
    writer.append(unsignedVarint: 150)
    writer.append(varint: 75)
    writer.append(varint: -1)
    writer.append(varint: 0)
    writer.append(unsignedVarint: .max)
    writer.append(varint: .min)
    let longest: [UInt8] = Array(repeating: 0xFF, count: 9) + [1]
    #expect(Array(writer.finish()) == [0x96, 1, 0x96, 1, 1, 0] + longest + longest)
  }

  @Test func memoryIsUsedAgain() {
    var writer = ByteWriter(capacity: 64)
    for round in 0..<3 {
      writer.removeAll()
      writer.append("round \(round)")
      let bytes = writer.copyBytes()
      #expect(bytes == Bytes("round \(round)"))
    }
  }
}
