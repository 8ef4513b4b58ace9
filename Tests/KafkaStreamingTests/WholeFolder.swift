import Groundwork
import SystemInterfaces

@testable import FileStreaming

/// A batch's folder of text files that is whole: `_SUCCESS` is in it.
struct WholeFolder {
  /// `records-TIME`, or `records-TIME-RUN`.
  var name: String
  /// The lines of each part file, by its name.
  var parts: [String: [String]] = [:]
  /// What is wrong with the files as such.
  var flaws: [String] = []

  /// All lines, part after part.
  var lines: [String] { parts.sorted { $0.key < $1.key }.flatMap(\.value) }

  /// The batch's time.
  var time: Int64? { name.split(separator: "-").dropFirst().first.flatMap { Int64($0) } }

  /// The whole folders in a folder; what is not whole does not count.
  static func all(below folder: String, _ files: any FileStore) throws -> [WholeFolder] {
    guard try files.attributes(folder) != nil else { return [] }
    var found: [WholeFolder] = []
    for name in try files.list(folder) where name.hasPrefix("records-") {
      let names = try files.list("\(folder)/\(name)")
      guard names.contains("_SUCCESS") else { continue }
      var whole = WholeFolder(name: name)
      for part in names where part != "_SUCCESS" {
        let text = String(try files.contents(of: "\(folder)/\(name)/\(part)"))
        if !text.hasSuffix("\n") { whole.flaws.append("\(name)/\(part) ends in the middle of a line") }
        whole.parts[part] = text.split(separator: "\n").map(String.init)
      }
      found.append(whole)
    }
    return found
  }
}
