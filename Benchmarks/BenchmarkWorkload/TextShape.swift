/// What the lines of a workload are made of. The same shape gives the same lines, always.
public struct TextShape: Sendable, Hashable {
  /// How often each word of the vocabulary occurs.
  public enum Distribution: String, Sendable, CaseIterable {
    /// Zipf's law with exponent 1: the word of rank r as often as 1/r.
    case zipf
    /// All equally often.
    case uniform
  }

  /// Words of the vocabulary, each different.
  public var wordCount: Int
  /// How often each of them occurs.
  public var distribution: Distribution
  /// Another seed gives other words and other lines.
  public var seed: UInt64

  /// The shape that figures are given for where nothing else is said: 10,000 words by Zipf's law.
  /// - Parameter wordCount: at least 100.
  public init(wordCount: Int = 10_000, distribution: Distribution = .zipf, seed: UInt64 = 1) {
    self.wordCount = wordCount
    self.distribution = distribution
    self.seed = seed
  }
}
