import Groundwork

/// Estimates how many different values were seen, in memory that does not grow with them (Flajolet, Fusy, Gandouet and
/// Meunier, "HyperLogLog", 2007), by 64-bit hashes and the estimator of Ertl, "New cardinality estimation algorithms for
/// HyperLogLog sketches" (2017), which needs no tables of corrections and holds from none to billions.
///
/// The hashes are those of this process: equal values count once within it, and another run may estimate slightly
/// differently.
public struct HyperLogLog: Sendable {
  /// Each register: the greatest number of leading zeros, plus one, of the hashes that fell to it.
  private var registers: [UInt8]
  /// 1 << bits registers.
  private let bits: Int

  /// - Parameter relativeSD: the relative standard deviation of the estimates, 0.002 (256 KiB) ... 0.26; what lies
  ///   outside counts as the nearer end.
  public init(relativeSD: Double = 0.05) {
    var bits = 4
    while bits < 18, 1.04 / Double(1 << bits).squareRoot() > relativeSD { bits += 1 }
    self.bits = bits
    registers = [UInt8](repeating: 0, count: 1 << bits)
  }

  /// Adds a value; one that was added before changes nothing.
  @inlinable public mutating func insert(_ value: some Hashable) {
    insert(hash: UInt64(truncatingIfNeeded: value._rawHashValue(seed: HashPlacement.seed)))
  }

  /// Adds the value that has this hash.
  public mutating func insert(hash: UInt64) {
    // Some types' own hashes leave bits unmixed.
    let hash = Hash64.fold(hash ^ 0x9E37_79B9_7F4A_7C15, 0xD6E8_FEB8_6659_FD93)
    let register = Int(truncatingIfNeeded: hash >> UInt64(64 - bits))
    let rank = UInt8(Swift.min((hash << UInt64(bits)).leadingZeroBitCount, 64 - bits) + 1)
    if registers[register] < rank { registers[register] = rank }
  }

  /// Adds what another one has seen; nothing where it was made for another deviation.
  public mutating func merge(_ other: HyperLogLog) {
    guard other.bits == bits else { return }
    for index in registers.indices where registers[index] < other.registers[index] {
      registers[index] = other.registers[index]
    }
  }

  /// About how many different values were added. O(registers).
  public var estimate: Int {
    let longest = 64 - bits
    var counts = [Double](repeating: 0, count: longest + 2)
    for register in registers { counts[Int(register)] += 1 }
    let size = Double(registers.count)
    // Ertl's algorithm 6.
    var sum = size * HyperLogLog.tau(1 - counts[longest + 1] / size)
    for rank in stride(from: longest, through: 1, by: -1) { sum = 0.5 * (sum + counts[rank]) }
    sum += size * HyperLogLog.sigma(counts[0] / size)
    let estimate = 0.721_347_520_444_481_7 * size * size / sum  // 1 / (2 ln 2)
    return Int(exactly: Swift.min(estimate, 0x1p62).rounded()) ?? 0
  }

  /// x + the sum of x^(2^k) 2^(k-1): the share of registers never met.
  private static func sigma(_ x: Double) -> Double {
    if x == 1 { return .infinity }
    var (x, y, z) = (x, 1.0, x)
    while true {
      x *= x
      let before = z
      z += x * y
      y += y
      if z == before { return z }
    }
  }

  /// A third of 1 - x - the sum of (1 - x^(2^-k))^2 2^-k: the share of registers that are full.
  private static func tau(_ x: Double) -> Double {
    if x == 0 || x == 1 { return 0 }
    var (x, y, z) = (x, 1.0, 1 - x)
    while true {
      x = x.squareRoot()
      let before = z
      y *= 0.5
      z -= (1 - x) * (1 - x) * y
      if z == before { return z / 3 }
    }
  }
}
