import Groundwork
import Testing

@testable import Datasets

/// Numbers of elements: equal for equal ones, different for those that differ in any part.
@Suite struct ElementDigestTests {
  private struct Plain {
    var name: String
    var count: Int
  }
  private struct Key: Hashable {
    var name: String
    var count: Int
  }

  /// The number of different numbers.
  private func distinct<Element>(_ elements: [Element]) -> Int {
    Set(elements.map { ElementDigest<Element>()($0) }).count
  }

  @Test func equalElementsAreEqual() {
    #expect(distinct([("a", 1), ("a", 1)]) == 1)
    #expect(distinct([Plain(name: "a", count: 1), Plain(name: "a", count: 1)]) == 1)
    #expect(distinct([Key(name: "a", count: 1), Key(name: "a", count: 1)]) == 1)
    #expect(distinct([["a": 1, "b": 2], ["b": 2, "a": 1]]) == 1)
    let long = "a text that does not stand inline"
    #expect(distinct([Bytes(long), Bytes(String(long))]) == 1)
  }

  @Test func everyPartCounts() {
    #expect(distinct([("a", 1), ("a", 2), ("b", 1), ("b", 2)]) == 4)
    #expect(distinct([("a", ("x", 1)), ("a", ("x", 2)), ("a", ("y", 1))]) == 3)
    #expect(distinct([Plain(name: "a", count: 1), Plain(name: "a", count: 2), Plain(name: "b", count: 1)]) == 3)
    #expect(distinct([Key(name: "a", count: 1), Key(name: "a", count: 2), Key(name: "b", count: 1)]) == 3)
    #expect(distinct([nil, ("a", 1), ("a", 2)] as [(String, Int)?]) == 3)
    #expect(distinct([[("a", 1), ("b", 2)], [("b", 2), ("a", 1)], [("a", 1)], []]) == 4)
    #expect(distinct([0.0, 0.5, 1.0]) == 3)
    #expect(distinct((0..<1000).map { $0 }) == 1000)
  }
}
