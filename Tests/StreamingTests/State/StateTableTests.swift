import Groundwork
import Testing

@testable import Streaming

/// The table of a state partition against a dictionary.
@Suite struct StateTableTests {
  @Test(arguments: UInt64(1)...8) func theTableIsADictionary(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var table = StateTable<Int, Int>()
    var model: [Int: Int] = [:]
    let keys = [3, 40, 2000][Int(seed % 3)]
    var wrong = 0
    for step in 0..<6000 {
      let key = Int(random.next() % UInt64(keys))
      if random.next() % 5 < (step < 3000 ? 3 : 2) {
        table.put(key, step, deadline: nil)
        model[key] = step
      } else {
        table.remove(key)
        model[key] = nil
      }
      if table[key] != model[key] || table.count != model.count { wrong += 1 }
    }
    for key in 0..<keys where table[key] != model[key] { wrong += 1 }
    let walked = (0..<table.entryLimit).compactMap { table.entry($0) }
    #expect(wrong == 0)
    #expect(Dictionary(walked.map { ($0.key, $0.value) }, uniquingKeysWith: { _, _ in -1 }) == model)
    // Places are used again: the table is no larger than it was at its fullest.
    #expect(table.entryLimit <= keys)
  }

  @Test(arguments: UInt64(1)...8) func whatIsDueIsWhatAScanFinds(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var table = StateTable<Int, Int>()
    var model: [Int: Int64] = [:]
    var wrong: [String] = []
    for step in 0..<400 as Range<Int64> {
      for _ in 0..<10 {
        let key = Int(random.next() % 50)
        switch random.next() % 6 {
        case 0:
          table.remove(key)
          model[key] = nil
        case 1:
          table.put(key, 0, deadline: nil)
          model[key] = .max
        default:
          let deadline = step + Int64(random.next() % 40)
          table.put(key, 0, deadline: deadline)
          model[key] = deadline
        }
      }
      let due = Set(table.due(step).indices.compactMap { table.entry($0)?.key })
      let expected = Set(model.filter { $0.value <= step }.keys)
      if due != expected { wrong.append("step \(step): \(due) for \(expected)") }
      for key in expected {
        table.remove(key)
        model[key] = nil
      }
      table.advanceTimers(through: step)
    }
    #expect(wrong.isEmpty, "\(wrong.first ?? "")")
  }

  @Test func aKeyThatIsTouchedAgainAndAgainKeepsOneTimer() {
    var table = StateTable<Int, Int>()
    for step in 0..<10_000 as Range<Int64> {
      table.put(1, 0, deadline: step + 3600)
      table.advanceTimers(through: step)
    }
    #expect(table.timerCount == 1)
    #expect(table.due(9_999 + 3599).indices.isEmpty)
    #expect(table.due(9_999 + 3600).indices.count == 1)
  }

  @Test func aCopyDoesNotSeeWhatComesLater() {
    var table = StateTable<Int, Int>()
    for key in 0..<100 { table.put(key, 1, deadline: 5) }
    let before = table
    for key in 0..<50 { table.remove(key) }
    for key in 50..<100 { table.put(key, 2, deadline: nil) }
    #expect(before.count == 100 && (0..<100).allSatisfy { before[$0] == 1 })
    #expect(before.due(5).indices.count == 100)
    #expect(table.count == 50 && table[0] == nil && table[99] == 2)
  }

  @Test func theHashOfNumbersIsThatOfTheirEncoding() {
    var random = SeededRandom(seed: 7)
    var numbers = [0, 1, -1, 63, 64, -64, -65, .max, .min, 1 << 55, 1 << 56]
    for shift in 0..<64 { numbers.append(Int(truncatingIfNeeded: random.next() >> UInt64(shift))) }
    #expect(numbers.filter { stableHash($0) != $0.streamHash }.isEmpty)
  }

  @Test func theHashOfTextsIsThatOfTheirEncoding() {
    let alphabet = Array("abcdefghijklmnopqrstuvwxyzäöü€")
    let texts = (0...alphabet.count).flatMap { [String(alphabet.prefix($0)), String(alphabet.suffix($0))] }
    #expect(texts.filter { stableHash($0) != $0.streamHash }.isEmpty)
    #expect(texts.map { Bytes($0) }.filter { stableHash($0) != $0.streamHash }.isEmpty)
  }
}
