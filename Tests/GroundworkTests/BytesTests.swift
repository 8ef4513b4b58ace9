import Groundwork
import Testing

/// `Bytes` against arrays and strings, around the border between inline values and slices above all.
@Suite struct BytesTests {
  /// The same bytes in every form there is: own memory, a slice of a large arena at several alignments.
  static func forms(_ array: [UInt8]) -> [Bytes] {
    var forms = [Bytes(array), array.withUnsafeBytes { Bytes(copying: $0) }]
    for offset in [0, 1, 7, 13] {
      // What surrounds a slice must not be seen.
      let arena = Arena(capacity: offset + array.count + 3)
      for place in 0..<arena.capacity { arena.base.storeBytes(of: 0xEE, toByteOffset: place, as: UInt8.self) }
      array.withUnsafeBytes {
        if let from = $0.baseAddress { (arena.base + offset).copyMemory(from: from, byteCount: array.count) }
      }
      forms.append(Bytes(arena, offset: offset, count: array.count))
      // And one that ends where its arena does.
      let exact = Arena(capacity: offset + array.count)
      array.withUnsafeBytes {
        if let from = $0.baseAddress { (exact.base + offset).copyMemory(from: from, byteCount: array.count) }
      }
      forms.append(Bytes(exact, offset: offset, count: array.count))
    }
    return forms
  }

  static func sample(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: 200 &+ $0 &* 7) } }

  @Test func allFormsOfAllLengthsAreEqual() {
    var failures: [String] = []
    for count in 0...40 {
      let array = Self.sample(count)
      let forms = Self.forms(array)
      for (index, form) in forms.enumerated() {
        if Array(form) != array || form.count != count || form.isEmpty != (count == 0) {
          failures.append("\(count) form \(index): content")
        }
        for other in forms {
          if form != other || form.hashValue != other.hashValue || form.fastHash(seed: 9) != other.fastHash(seed: 9) {
            failures.append("\(count) form \(index): equality")
          }
        }
        if (0..<count).contains(where: { form[$0] != array[$0] }) { failures.append("\(count): subscript") }
        if form.copied != form || form.withUnsafeBytes({ Array($0) }) != array { failures.append("\(count): copy") }
      }
    }
    #expect(failures == [])
  }

  @Test func onePlaceMakesTheDifference() {
    var failures: [String] = []
    for count in 1...40 {
      let array = Self.sample(count)
      let bytes = Bytes(array)
      for place in 0..<count {
        var changed = array
        changed[place] ^= 1
        for other in Self.forms(changed) {
          if bytes == other { failures.append("\(count) at \(place)") }
          if (bytes < other) != array.lexicographicallyPrecedes(changed) {
            failures.append("\(count) order at \(place)")
          }
          if bytes.fastHash(seed: 0) == other.fastHash(seed: 0) { failures.append("\(count) hash at \(place)") }
        }
      }
      if bytes == Bytes(array.dropLast()) || Bytes(array.dropLast()) >= bytes { failures.append("\(count) prefix") }
    }
    // Zeros count: an inline value is more than its words.
    for count in 0..<40 where Bytes(repeatElement(0, count: count)) == Bytes(repeatElement(0, count: count + 1)) {
      failures.append("\(count) zeros")
    }
    #expect(failures == [])
  }

  @Test func slicesAreTheirArraysSlices() {
    var failures: [String] = []
    for count in 0...40 {
      let array = Self.sample(count)
      for form in Self.forms(array) {
        for lower in 0...count {
          for upper in lower...count where form[lower..<upper] != Bytes(array[lower..<upper]) {
            failures.append("\(count) \(lower)..<\(upper)")
          }
        }
      }
    }
    #expect(failures == [])
  }

  @Test func slicesKeepTheirMemory() {
    var slices: [Bytes] = []
    for round in 0..<20 {
      let whole = Bytes((0..<100).map { UInt8($0 + round) })
      slices.append(whole[10..<60])
    }
    #expect(slices.enumerated().allSatisfy { round, slice in Array(slice) == (10..<60).map { UInt8($0 + round) } })
  }

  @Test func searchIsNaiveSearch() {
    var failures: [String] = []
    for seed in UInt64(1)...2000 {
      var random = SeededRandom(seed: seed)
      func array(_ max: Int) -> [UInt8] {
        (0..<Int.random(in: 0...max, using: &random)).map { _ in UInt8.random(in: 97...99, using: &random) }
      }
      let (whole, part) = (array(40), array(4))
      let (bytes, piece) = (Bytes(whole), Bytes(part))
      let places = (0...whole.count).filter { whole[$0...].starts(with: part) }
      if bytes.contains(piece) != !places.isEmpty { failures.append("seed \(seed) contains") }
      if bytes.hasPrefix(piece) != whole.starts(with: part) { failures.append("seed \(seed) prefix") }
      if bytes.hasSuffix(piece) != whole.reversed().starts(with: part.reversed()) {
        failures.append("seed \(seed) suffix")
      }
      let from = Int.random(in: 0...45, using: &random)
      let expected = from < whole.count ? whole[from...].firstIndex(of: 98) ?? whole.count : whole.count
      if bytes.firstIndex(ofByte: 98, from: from) != expected { failures.append("seed \(seed) index") }
    }
    #expect(failures == [])
  }

  @Test func splittingIsArraysSplitting() {
    var failures: [String] = []
    for seed in UInt64(1)...2000 {
      var random = SeededRandom(seed: seed)
      let array = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        UInt8.random(in: 0...9, using: &random) < 3 ? UInt8(32) : 120
      }
      for omits in [true, false] {
        let expected = array.split(separator: 32, omittingEmptySubsequences: omits).map { Bytes($0) }
        if Array(Bytes(array).split(separator: UInt8(32), omittingEmptySubsequences: omits)) != expected
          || Array(Bytes(array).split(separator: " ", omittingEmptySubsequences: omits)) != expected
        {
          failures.append("seed \(seed) \(omits)")
        }
      }
    }
    #expect(failures == [])
  }

  @Test func trimmingTakesWhiteSpaceAtBothEnds() {
    var failures: [String] = []
    for seed in UInt64(1)...1000 {
      var random = SeededRandom(seed: seed)
      let array = (0..<Int.random(in: 0...30, using: &random)).map { _ in
        [32, 9, 13, 10, 120, 0][Int.random(in: 0..<6, using: &random)] as UInt8
      }
      let isSpace = { (byte: UInt8) in [32, 9, 13, 10].contains(byte) }
      let expected = Array(array.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
      if Array(Bytes(array).trimmed) != expected { failures.append("seed \(seed)") }
    }
    #expect(failures == [])
    #expect(Bytes(" \t\r\n").trimmed == "")
  }

  @Test func integersAreReadAsTheirTextIs() {
    var failures: [String] = []
    func check<I: FixedWidthInteger>(_ text: String, _ type: I.Type) {
      if I(Bytes(text)) != I(text) { failures.append("\(text) as \(type)") }
    }
    var texts = [
      "", "-", "+", "0", "-0", "+0", "7", "+7", "-7", "007", " 7", "7 ", "1e3", "0x10", "--7", "+-7", "7-", "127",
      "128",
      "-128", "-129", "255", "256", "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
      "-9223372036854775809", "18446744073709551615", "18446744073709551616", "99999999999999999999999", "\u{662}", "/",
      ":",
    ]
    var random = SeededRandom(seed: 8)
    for _ in 0..<2000 {
      texts.append(String(Int64(bitPattern: random.next()) >> Int64.random(in: 0...63, using: &random)))
    }
    for text in texts {
      check(text, Int8.self)
      check(text, UInt8.self)
      check(text, Int32.self)
      check(text, Int64.self)
      check(text, UInt64.self)
    }
    #expect(failures == [])
  }

  @Test func textGoesInAndOut() {
    for text in [
      "", "a", "gr\u{fc}n", "fifteen bytes!!", "sixteen bytes!!!", String(repeating: "\u{1F30A}", count: 20),
    ] {
      let bytes = Bytes(text)
      #expect(Array(bytes) == Array(text.utf8))
      #expect(String(bytes) == text)
      #expect(Bytes(Substring(text)) == bytes)
      #expect(bytes.description == text)
      #expect(bytes.debugDescription == text.debugDescription)
    }
    #expect(String(Bytes([0xFF, 97])) == "\u{FFFD}a")
  }

  /// Version 1 for ever: state on disk is partitioned by these values.
  @Test func hashesAreFixed() {
    let golden: [(Int, UInt64, UInt64)] = [
      // count of the sample, seed, hash
      (0, 0, 0x4B24_D35C_BA4A_63B0),
      (0, 1, 0x087D_8F3B_C0EE_17C9),
      (1, 0, 0x2EAD_CAB1_73C5_30B3),
      (1, 1, 0xB1D4_53AC_5013_D5C1),
      (7, 0, 0x28AE_054A_089F_DB97),
      (7, 1, 0xFA98_0FAD_CD3B_96E6),
      (8, 0, 0x3C9D_E51C_0DA6_68C2),
      (8, 1, 0x490A_7B3C_5417_AC14),
      (9, 0, 0xF2FE_DE7D_6451_F523),
      (9, 1, 0x5B8B_2AF0_EEAF_88F2),
      (15, 0, 0x17EC_B134_BB01_E050),
      (15, 1, 0x03DA_BA4D_A619_07F8),
      (16, 0, 0x49C5_6607_B05E_94D2),
      (16, 1, 0x7B1C_ACDF_1E4F_955B),
      (17, 0, 0xCBE5_E4C4_AD7B_1ED3),
      (17, 1, 0xDD99_A591_E7D9_8840),
      (31, 0, 0x93DA_260F_AA78_E5CD),
      (31, 1, 0x8B5E_4A8F_1FBC_AE13),
      (32, 0, 0xC969_21F4_412B_DF94),
      (32, 1, 0x59F4_9371_A413_E51D),
      (33, 0, 0x2B9C_A151_737D_2F1C),
      (33, 1, 0x2563_4E07_CF41_F3AF),
      (100, 0, 0xC86A_E9D1_02E9_391B),
      (100, 1, 0x4BBB_7554_2F90_146A),
    ]
    for (count, seed, hash) in golden { #expect(Bytes(Self.sample(count)).fastHash(seed: seed) == hash, "\(count)") }
  }

  @Test func hashesSpread() {
    // 2^16 consecutive numbers as text: as many different hashes, and no bit that is nearly always set or clear.
    var seen = Set<UInt64>()
    var ones = [Int](repeating: 0, count: 64)
    for number in 0..<65_536 {
      let hash = Bytes(number % 2 == 0 ? "\(number)" : "a longer key with number \(number)").fastHash(seed: 0)
      seen.insert(hash)
      for bit in 0..<64 where hash >> UInt64(bit) & 1 == 1 { ones[bit] += 1 }
    }
    #expect(seen.count == 65_536)
    #expect(ones.allSatisfy { abs($0 - 32_768) < 1000 })
  }
}
