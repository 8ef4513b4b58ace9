/// A text file of the package, by its path from the root.
struct SourceFile {
  var path: String
  var text: String

  var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

  /// `Sources/X/…` is target X, `Tests/X/…`, `jobs/X/…` and `Benchmarks/X/…` likewise.
  var target: String? {
    let parts = path.split(separator: "/")
    return parts.count > 2 ? String(parts[1]) : nil
  }
  var top: String { String(path.split(separator: "/").first ?? "") }
}

/// A broken rule: where, and what to do instead.
struct Finding: Equatable, CustomStringConvertible {
  var path: String
  var line: Int
  var what: String
  var description: String { "\(path):\(line): \(what)" }
}

/// The rules of the house, each a function from a file to what is wrong in it.
enum HouseRules {
  static let all: [@Sendable (SourceFile) -> [Finding]] = [imports, length, sleeping, unfinished, justification]

  /// The modules a line imports; nil where it is no import.
  static func importedModule(_ line: Substring) -> String? {
    var words = line.split(separator: " ").map(String.init)
    while let first = words.first, first.hasPrefix("@") || ["public", "package", "internal"].contains(first) {
      words.removeFirst()
    }
    guard words.first == "import", words.count > 1 else { return nil }
    if ["struct", "class", "enum", "func", "protocol", "typealias", "let", "var"].contains(words[1]), words.count > 2 {
      words.remove(at: 1)
    }
    return words[1].split(separator: ".").first.map(String.init)
  }

  static func imports(_ file: SourceFile) -> [Finding] {
    guard let target = file.target else { return [] }
    var found: [Finding] = []
    for (index, line) in file.lines.enumerated() {
      guard let module = importedModule(line) else { continue }
      if let what = complaint(target, in: file.top, about: module) {
        found.append(Finding(path: file.path, line: index + 1, what: what))
      }
    }
    return found
  }

  private static func complaint(_ target: String, in top: String, about module: String) -> String? {
    if module.hasPrefix("Foundation") {
      return "imports \(module): it makes the binary 60 MB larger and slower to start; Groundwork has what is needed"
    }
    if ImportTable.anywhere.contains(module) { return nil }
    if top == "jobs" {
      return ImportTable.jobImports.contains(module) ? nil : "a job imports \(module): jobs see the public face, Sluice"
    }
    if ImportTable.system.contains(module) {
      let isAllowed =
        ImportTable.systemUsers.contains(target) || (top == "Tests" && target != "Simulation") || top == "Benchmarks"
      return isAllowed ? nil : "imports \(module): go through a seam of SystemInterfaces instead"
    }
    if let row = ImportTable.rows[target], top == "Sources" || top == "Tests" {
      return row.contains(module) ? nil : "\(target) may not import \(module): see the import table"
    }
    if top == "Tests" {
      return module == "Testing" || module == "Simulation" || ImportTable.rows[module] != nil
        ? nil : "a test imports \(module), which is no module of ours"
    }
    if top == "Benchmarks" {
      return ImportTable.rows[module] != nil ? nil : "a benchmark imports \(module), which is no module of ours"
    }
    return "the target \(target) stands in no row of the import table"
  }

  static let lengthMax = 600

  static func length(_ file: SourceFile) -> [Finding] {
    let count = file.lines.count
    if count <= lengthMax { return [] }
    return [
      Finding(path: file.path, line: count, what: "\(count) lines: take the file apart by role; \(lengthMax) at most")
    ]
  }

  static func sleeping(_ file: SourceFile) -> [Finding] {
    guard file.top == "Tests" else { return [] }
    // In two pieces, so that this file keeps its own rule.
    let names = ["usleep", "nanosleep", "Task.sleep", "Thread.sleep", " sleep"].map { $0 + "(" }
    return matches(file, names, "sleeps: wait for a condition, or advance virtual time")
  }

  static func unfinished(_ file: SourceFile) -> [Finding] {
    let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "fatalError(\"" + "not", "fatalError(\"" + "Not"]
    return matches(file, marks, "is unfinished: finish it, or leave it out and say so in the README")
  }

  private static func matches(_ file: SourceFile, _ parts: [String], _ what: String) -> [Finding] {
    file.lines.enumerated().compactMap { index, line in
      guard let part = parts.first(where: { line.contains($0) }) else { return nil }
      return Finding(path: file.path, line: index + 1, what: "`\(part)` \(what)")
    }
  }

  /// Unsafe code carries a sentence that proves it safe, within the lines above or beside it.
  static func justification(_ file: SourceFile) -> [Finding] {
    let lines = file.lines
    let words = ["@unchecked " + "Sendable", "unsafeBit" + "Cast", "nonisolated(" + "unsafe)"]
    // Where the reason says one of these, somebody has thought about it.
    let reasons = [
      "safe", "confined", "only", "never", "because", "lock", "immutable", "one thread", "Sendable:", "same", "since",
    ]
    return lines.enumerated().compactMap { index, line in
      guard let word = words.first(where: { line.contains($0) }) else { return nil }
      let code = line.prefix { $0 == " " }.count
      if line.dropFirst(code).hasPrefix("//") || line.contains("\"") { return nil }
      let near = lines[max(0, index - 6)...index]
      let comments = near.compactMap { text in text.range(of: "//").map { text[$0.lowerBound...] } }
      let isJustified = comments.contains { comment in reasons.contains { comment.contains($0) } }
      return isJustified
        ? nil
        : Finding(path: file.path, line: index + 1, what: "`\(word)` without a sentence above that proves it safe")
    }
  }

  // MARK: The manifest

  /// A target of the manifest and what it depends on.
  struct ManifestTarget: Equatable {
    var name: String
    var kind: String
    var dependencies: [String]
  }

  /// Reads the calls `library("X", ["A", …]`, `tests(…)`, `benchmark(…)`, `job("X"` and `.target(name: "X",
  /// dependencies: […]` out of the manifest's text.
  static func targets(ofManifest text: String) -> [ManifestTarget] {
    var found: [ManifestTarget] = []
    let openings = [
      ("library(", "library"), ("tests(", "tests"), ("benchmark(", "benchmark"), ("job(", "job"),
      (".target(", "library"), (".executableTarget(", "library"), (".testTarget(", "tests"),
    ]
    let bytes = Array(text.utf8)
    for (opening, kind) in openings {
      let pattern = Array(opening.utf8)
      var index = 0
      while let place = firstIndex(of: pattern, in: bytes, from: index) {
        index = place + pattern.count
        // `library(` also ends other words, and `.library(name:` is a product.
        if place > 0, isWordOrDot(bytes[place - 1]) { continue }
        guard let end = closing(bytes, from: index) else { continue }
        let call = String(decoding: bytes[index..<end], as: UTF8.self)
        let strings = quoted(call)
        guard let name = strings.first, !call.hasPrefix("_"), !call.hasPrefix("\n    name: name"),
          !call.hasPrefix("name: name"), !call.contains("name: name,")
        else { continue }
        found.append(ManifestTarget(name: name, kind: kind, dependencies: dependencies(call, kind)))
      }
    }
    return found
  }

  private static func dependencies(_ call: String, _ kind: String) -> [String] {
    if kind == "job" { return [] }
    // `.target(name: …, dependencies: […])` may leave them out; the short forms have them as the first array.
    var rest = Substring(call)
    if call.split(separator: "\"").first?.contains("name:") == true {
      guard let label = rest.range(of: "dependencies:") else { return [] }
      rest = rest[label.upperBound...]
    }
    guard let open = rest.firstIndex(of: "["), let close = rest[open...].firstIndex(of: "]") else { return [] }
    return quoted(String(rest[open...close]))
  }

  private static func quoted(_ text: String) -> [String] {
    let parts = text.split(separator: "\"", omittingEmptySubsequences: false)
    return parts.indices.filter { $0 % 2 == 1 }.map { String(parts[$0]) }
  }

  private static func isWordOrDot(_ byte: UInt8) -> Bool {
    byte == 46 || byte == 95 || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
  }

  private static func firstIndex(of pattern: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
    guard bytes.count >= pattern.count, start <= bytes.count - pattern.count else { return nil }
    return (start...(bytes.count - pattern.count)).first { bytes[$0..<($0 + pattern.count)].elementsEqual(pattern) }
  }

  /// The parenthesis that closes a call whose arguments begin at `start`.
  private static func closing(_ bytes: [UInt8], from start: Int) -> Int? {
    var depth = 1
    for index in start..<bytes.count {
      if bytes[index] == UInt8(ascii: "(") { depth += 1 }
      if bytes[index] == UInt8(ascii: ")") {
        depth -= 1
        if depth == 0 { return index }
      }
    }
    return nil
  }

  static func manifest(_ text: String) -> [Finding] {
    var found: [Finding] = []
    func complain(_ what: String) { found.append(Finding(path: "Package.swift", line: 0, what: what)) }
    for target in targets(ofManifest: text) where target.kind == "library" {
      guard let row = ImportTable.rows[target.name] else {
        complain("the target \(target.name) stands in no row of the import table")
        continue
      }
      for dependency in target.dependencies where !row.contains(dependency) {
        complain("\(target.name) may not depend on \(dependency): see the import table")
      }
    }
    return found
  }
}

extension Substring {
  /// The first place of `part`.
  func range(of part: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
      start = index(after: start)
    }
    return nil
  }
}
