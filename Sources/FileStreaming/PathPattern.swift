import Groundwork
import SystemInterfaces

/// Patterns of paths, as Hadoop's: `?` one character, `*` any number, `[abc]`, `[a-c]` and `[^a]` one of a set, `{a,b}`
/// one of several texts, `\` takes the next character as it is. Wildcards do not match a slash.
enum PathPattern {
  /// The paths, sorted, that exist and match; a path without wildcards is itself, whether it exists or not. What a
  /// wildcard finds does not begin with `.` or `_`.
  static func paths(_ pattern: String, in files: any FileStore) throws(FileError) -> [String] {
    var found: Set<String> = []
    for alternative in alternatives(pattern) {
      var bases = [alternative.hasPrefix("/") ? "/" : ""]
      for component in alternative.split(separator: "/") {
        guard hasWildcard(component) else {
          bases = bases.map { join($0, unescaped(component)) }
          continue
        }
        var next: [String] = []
        for base in bases {
          for name in try names(in: base.isEmpty ? "." : base, files)
          where !isHidden(name) && matches(Array(component.unicodeScalars)[...], Array(name.unicodeScalars)[...]) {
            next.append(join(base, name))
          }
        }
        bases = next
      }
      found.formUnion(bases)
    }
    return found.sorted()
  }

  /// Whether a name is left out where files are looked for: of work in progress, of markers such as `_SUCCESS`.
  static func isHidden(_ name: some StringProtocol) -> Bool { name.hasPrefix(".") || name.hasPrefix("_") }

  private static func names(in folder: String, _ files: any FileStore) throws(FileError) -> [String] {
    do throws(FileError) { return try files.list(folder) } catch {
      // Other branches of the pattern may lead somewhere.
      if error.code == .notFound || error.code == .notADirectory { return [] }
      throw error
    }
  }

  private static func join(_ base: String, _ name: String) -> String {
    base.isEmpty ? name : base.hasSuffix("/") ? base + name : "\(base)/\(name)"
  }

  static func hasWildcard(_ component: Substring) -> Bool {
    var isEscaped = false
    for scalar in component.unicodeScalars {
      if isEscaped {
        isEscaped = false
      } else if scalar == "\\" {
        isEscaped = true
      } else if scalar == "*" || scalar == "?" || scalar == "[" {
        return true
      }
    }
    return false
  }

  private static func unescaped(_ component: Substring) -> String {
    var text = ""
    var isEscaped = false
    for character in component {
      if character == "\\", !isEscaped {
        isEscaped = true
      } else {
        text.append(character)
        isEscaped = false
      }
    }
    return text
  }

  /// The pattern with each of its `{…}` written out, in order; braces may stand inside braces. A brace without its
  /// partner stands for itself.
  static func alternatives(_ pattern: String) -> [String] {
    let scalars = Array(pattern.unicodeScalars)
    var open: Int?
    var depth = 0
    var cuts: [Int] = []
    var index = 0
    while index < scalars.count {
      switch scalars[index] {
      case "\\": index += 1
      case "{":
        if depth == 0 { (open, cuts) = (index, [index]) }
        depth += 1
      case "," where depth == 1: cuts.append(index)
      case "}" where depth > 0:
        depth -= 1
        if depth == 0, let start = open {
          cuts.append(index)
          let head = text(scalars[..<start])
          let tails = alternatives(text(scalars[(index + 1)...]))
          var result: [String] = []
          for (from, to) in zip(cuts, cuts.dropFirst()) {
            for middle in alternatives(text(scalars[(from + 1)..<to])) {
              for tail in tails { result.append(head + middle + tail) }
            }
          }
          return result
        }
      default: break
      }
      index += 1
    }
    return [pattern]
  }

  private static func text(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars)
    return String(text)
  }

  /// Whether a name matches one component of a pattern. O(pattern × name).
  static func matches(_ pattern: ArraySlice<Unicode.Scalar>, _ name: ArraySlice<Unicode.Scalar>) -> Bool {
    var pattern = pattern
    var name = name
    // Where the last star stood, and what of the name it has taken so far: the only place to come back to.
    var retry: (pattern: ArraySlice<Unicode.Scalar>, name: ArraySlice<Unicode.Scalar>)?
    while true {
      if pattern.first == "*" {
        pattern = pattern.dropFirst()
        retry = (pattern, name)
        continue
      }
      if let scalar = name.first, let rest = step(pattern, scalar) {
        pattern = rest
        name = name.dropFirst()
        continue
      }
      if pattern.isEmpty, name.isEmpty { return true }
      guard let last = retry, !last.name.isEmpty else { return false }
      retry = (last.pattern, last.name.dropFirst())
      (pattern, name) = (last.pattern, last.name.dropFirst())
    }
  }

  /// What is left of the pattern when its first element has matched the character; nil where it does not.
  private static func step(_ pattern: ArraySlice<Unicode.Scalar>, _ scalar: Unicode.Scalar) -> ArraySlice<
    Unicode.Scalar
  >? {
    guard let first = pattern.first else { return nil }
    let rest = pattern.dropFirst()
    switch first {
    case "?": return rest
    case "\\": return rest.first == scalar ? rest.dropFirst() : nil
    case "[":
      guard let end = rest.dropFirst().firstIndex(of: "]") else { return scalar == "[" ? rest : nil }
      var members = rest[..<end]
      let isNegated = members.first == "^" || members.first == "!"
      if isNegated { members = members.dropFirst() }
      var isMember = false
      while let low = members.popFirst() {
        if members.first == "-", let high = members.dropFirst().first {
          isMember = isMember || (low <= scalar && scalar <= high)
          members = members.dropFirst(2)
        } else {
          isMember = isMember || low == scalar
        }
      }
      return isMember != isNegated ? rest[(end + 1)...] : nil
    default: return first == scalar ? rest : nil
    }
  }
}
