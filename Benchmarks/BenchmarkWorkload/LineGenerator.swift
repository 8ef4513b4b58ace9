import Groundwork

/// Lines of exactly 100 bytes: ten words of the vocabulary, a space between two.
public struct LineGenerator: Sendable {
  /// Bytes of a line, its spaces included; there is no line feed.
  public static let lineSize = 100
  /// Words of a line.
  public static let wordsPerLine = 10
  /// Letters of a line.
  private static let letters = lineSize - (wordsPerLine - 1)

  private let vocabulary: Vocabulary
  private var random: SeededRandom

  /// Makes the vocabulary. O(words).
  public init(_ shape: TextShape) {
    random = SeededRandom(seed: shape.seed)
    vocabulary = Vocabulary(shape, &random)
  }

  /// Writes the next line.
  /// - Parameter target: room for a line and 16 bytes behind it.
  /// - Returns: the sum of its words' hashes.
  mutating func next(into target: UnsafeMutableRawPointer) -> UInt64 {
    // Nine words as they come, and one whose length makes the line full; it stands anywhere.
    var words = InlineArray<10, Int>(repeating: 0)
    var missing = 0
    repeat {
      missing = LineGenerator.letters
      for place in 0..<9 {
        words[place] = vocabulary.pick(&random)
        missing -= Int(vocabulary.counts[words[place]])
      }
    } while !Vocabulary.lengths.contains(missing)
    repeat { words[9] = vocabulary.pick(&random) } while Int(vocabulary.counts[words[9]]) != missing
    let place = Int.random(in: 0...9, using: &random)
    (words[place], words[9]) = (words[9], words[place])

    var end = target
    var hash: UInt64 = 0
    vocabulary.letters.withUnsafeBytes { letters in
      for place in 0..<10 {
        let word = words[place]
        end.copyMemory(from: letters.baseAddress! + word * Vocabulary.stride, byteCount: Vocabulary.stride)
        end += Int(vocabulary.counts[word])
        end.storeBytes(of: 32, as: UInt8.self)
        end += 1
        hash &+= vocabulary.hashes[word]
      }
    }
    return hash
  }
}

/// Lines one behind the other in memory.
public struct Lines: Sendable {
  /// How many there are.
  public let count: Int
  private let memory: Bytes
  /// Of each line, the sum of its words' hashes.
  private let wordHashes: [UInt64]

  /// The first lines of a shape.
  public init(_ count: Int, _ shape: TextShape) {
    var generator = LineGenerator(shape)
    self.init(count, from: &generator)
  }

  /// The next lines of a generator.
  public init(_ count: Int, from generator: inout LineGenerator) {
    self.count = count
    // The last line's last word is copied as 16 bytes.
    let arena = Arena(capacity: count * LineGenerator.lineSize + Vocabulary.stride)
    wordHashes = (0..<count).map { generator.next(into: arena.base + $0 * LineGenerator.lineSize) }
    memory = Bytes(arena, offset: 0, count: count * LineGenerator.lineSize)
  }

  /// All lines, without anything between them.
  public var bytes: Bytes { memory }

  /// A line, as a part of the memory of all.
  public subscript(index: Int) -> Bytes {
    memory[index * LineGenerator.lineSize..<(index + 1) * LineGenerator.lineSize]
  }

  /// What counting these lines must come to.
  public func tally(_ range: Range<Int>) -> Tally {
    var tally = Tally()
    for index in range { tally.add(self[index], wordHash: wordHashes[index]) }
    return tally
  }
}
