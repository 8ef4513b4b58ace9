import Groundwork
import Testing

@testable import Datasets

/// What is kept has memory of its own, whatever `Bytes` are wrapped in: seen by whether the arena still lives.
@Suite struct DetachingTests {
  struct Visit: Detachable, Equatable {
    var page: Bytes
    var count: Int
    mutating func detach() { page.detach() }
  }
  struct Plain: Equatable {
    var count: Int
  }

  /// Makes a value of a slice of an arena, detaches it, and says whether the arena lives on.
  private func keepsArena<Value>(_ make: (Bytes) -> Value, isEqual: (Value, Value) -> Bool) -> Bool {
    weak var arena: Arena?
    var kept: Value?
    do {
      let made = Arena(capacity: 1000)
      arena = made
      made.base.initializeMemory(as: UInt8.self, repeating: 65, count: 1000)
      let value = make(Bytes(made, offset: 100, count: 100))
      kept = Detacher<Value>()(value)
      let isSame = isEqual(value, kept!)
      #expect(isSame)
    }
    return withExtendedLifetime(kept) { arena != nil }
  }

  @Test func whatHoldsBytesIsDetached() {
    #expect(!keepsArena({ $0 }, isEqual: ==))
    #expect(!keepsArena({ ($0, 1) }, isEqual: ==))
    #expect(!keepsArena({ (1, ("x", $0)) }, isEqual: { $0.1.1 == $1.1.1 && $0.0 == $1.0 }))
    #expect(!keepsArena({ [$0, $0] }, isEqual: ==))
    #expect(!keepsArena({ Optional($0) }, isEqual: ==))
    #expect(!keepsArena({ (Optional([(1, $0)]), 2) }, isEqual: { $0.0![0].1 == $1.0![0].1 }))
    #expect(!keepsArena({ Visit(page: $0, count: 1) }, isEqual: ==))
    #expect(!keepsArena({ [($0, Visit(page: $0, count: 1))] }, isEqual: { $0[0].1 == $1[0].1 }))
    // Nobody says how: what holds it is kept as it is.
    struct Hiding { var page: Bytes }
    #expect(keepsArena({ Hiding(page: $0) }, isEqual: { $0.page == $1.page }))
  }

  @Test func whatHoldsNoneCostsNothing() {
    #expect(!Detacher<Int>().isNeeded && !Detacher<(String, [Double?])>().isNeeded && !Detacher<Plain>().isNeeded)
    #expect(Detacher<(String, [Bytes?])>().isNeeded)
    #expect(Detacher<Int?>()(nil) == nil && Detacher<Bytes?>()(nil) == nil)
  }
}
