import Groundwork
import Testing

@testable import FileStreaming

/// Patterns of paths.
@Suite struct PathPatternTests {
  private func matches(_ pattern: String, _ name: String) -> Bool {
    PathPattern.matches(Array(pattern.unicodeScalars)[...], Array(name.unicodeScalars)[...])
  }

  @Test func wildcards() {
    let yes = [
      ("*", ""), ("*", "abc"), ("a*c", "abbc"), ("a*c", "ac"), ("*.gz", "x.gz"), ("?", "日"), ("[abc]x", "bx"),
      ("[a-cx]", "x"), ("[^a-c]", "d"), ("[!a]", "b"), ("a\\*", "a*"), ("*a*b*", "xaxbx"), ("[]]", "]"),
      ("part-*", "part-0"),
    ]
    let no = [
      ("?", ""), ("a*c", "abcd"), ("[a-c]", "d"), ("[^a-c]", "b"), ("a\\*", "ab"), ("", "a"), ("abc", "ab"),
      ("*a*b", "ba"),
    ]
    #expect(yes.filter { !matches($0.0, $0.1) }.map { "\($0)" } == [])
    #expect(no.filter { matches($0.0, $0.1) }.map { "\($0)" } == [])
  }

  @Test func bracesAreWrittenOut() {
    #expect(PathPattern.alternatives("a") == ["a"])
    #expect(PathPattern.alternatives("a{b,c}d") == ["abd", "acd"])
    #expect(PathPattern.alternatives("{a,b}{c,d}") == ["ac", "ad", "bc", "bd"])
    #expect(PathPattern.alternatives("{a,b{c,d}}") == ["a", "bc", "bd"])
    #expect(PathPattern.alternatives("a{b") == ["a{b"])
    #expect(PathPattern.alternatives("a}b") == ["a}b"])
    #expect(PathPattern.alternatives("a\\{b,c}") == ["a\\{b,c}"])
  }

  /// Against a matcher that tries everything.
  @Test func agreesWithTheNaiveMatcher() {
    func naive(_ pattern: [Character], _ name: [Character]) -> Bool {
      guard let first = pattern.first else { return name.isEmpty }
      let rest = Array(pattern.dropFirst())
      if first == "*" { return (0...name.count).contains { naive(rest, Array(name.dropFirst($0))) } }
      guard let character = name.first else { return false }
      return (first == "?" || first == character) && naive(rest, Array(name.dropFirst()))
    }
    var random = SeededRandom(seed: 5)
    func draw(_ letters: [Character], _ count: Int) -> [Character] {
      (0..<Int(random.next() % UInt64(count))).map { _ in letters[Int(random.next() % UInt64(letters.count))] }
    }
    var wrong: [String] = []
    for _ in 0..<20_000 {
      let pattern = draw(["a", "b", "*", "?"], 7)
      let name = draw(["a", "b"], 8)
      if naive(pattern, name) != matches(String(pattern), String(name)) {
        wrong.append("\(String(pattern)) \(String(name))")
      }
    }
    #expect(wrong == [])
  }

  @Test func inputFilesAreTextAndBack() {
    for path in ["/a/b c", "/a\nb\\n", "/日本", ""] {
      let file = InputFile(path: path, size: 12, modified: 1_357_002_000_000)
      #expect(InputFile(text: file.text) == file)
      #expect(!file.text.contains("\n"))
    }
    for text in ["", "1 2", "x 2 /a", "-1 2 /a"] { #expect(InputFile(text: text) == nil, "\(text)") }
  }
}
