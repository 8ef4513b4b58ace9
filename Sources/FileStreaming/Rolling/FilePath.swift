import Groundwork

/// In which folder below the output folder an element's file stands: a template such as
/// `{topic}/dt={date}/hour={hour}`.
///
/// Placeholders: `{topic}`, `{partition}`; of the element's time `{date}` (`2013-01-31`), `{year}`, `{month}`, `{day}`,
/// `{hour}`, `{minute}`; and the names of `fields`. An empty template puts all files into the output folder itself.
/// What stands for a placeholder is percent-encoded where a character of it means something in a path, and a name that
/// readers would skip (one with `.` or `_` in front) has that character encoded; an empty one is
/// `__HIVE_DEFAULT_PARTITION__`, as in Hive.
public struct FilePath<Element>: Sendable, ExpressibleByStringLiteral {
  /// The template as it was given.
  public let template: String
  /// What is wrong with it; nil where nothing.
  let problem: String?
  /// Appends what tells an element's folder from others; nil where all elements of a batch have the same.
  @usableFromInline let key: (@Sendable (Element, inout ByteWriter) -> Void)?
  /// The folder of an element; nil asks for the one that depends on the batch alone.
  @usableFromInline let directory: @Sendable (Element?, Timestamp) -> String

  /// A template of the batch's time alone.
  public init(stringLiteral template: String) { self.init(template) }

  /// - Parameters:
  ///   - template: see above; `/` between folders.
  ///   - zone: whose days and hours count.
  ///   - topic: gives an element's `{topic}`; nil where it has none.
  ///   - partition: gives its `{partition}`.
  ///   - time: gives the time of `{date}`, `{hour}` and so on; the batch's where nil.
  ///   - fields: placeholders of one's own, by their names.
  public init(
    _ template: String, zone: ZoneOffset = .utc, topic: (@Sendable (Element) -> String)? = nil,
    partition: (@Sendable (Element) -> PartitionIndex)? = nil, time: (@Sendable (Element) -> Timestamp)? = nil,
    fields: [String: @Sendable (Element) -> Bytes] = [:]
  ) {
    self.template = template
    var known: Set<String> = Set(fields.keys).union(PathTemplate.timeUnits.keys)
    if topic != nil { known.insert("topic") }
    if partition != nil { known.insert("partition") }
    let parsed = PathTemplate(template, known: known)
    problem = parsed.problem
    let names = parsed.names
    let unit = names.compactMap { PathTemplate.timeUnits[$0] }.min()
    let shift = zone.milliseconds
    let keyTopic = names.contains("topic") ? topic : nil
    let keyPartition = names.contains("partition") ? partition : nil
    let keyTime = unit == nil ? nil : time
    let keyFields = fields.filter { names.contains($0.key) }.sorted { $0.key < $1.key }.map(\.value)
    if keyTopic == nil, keyPartition == nil, keyTime == nil, keyFields.isEmpty {
      key = nil
    } else {
      let unit = unit ?? 1
      key = { element, writer in
        if let keyTime {
          let time = keyTime(element).milliseconds &+ shift
          // Rounded down, also before 1970.
          writer.append(bigEndian: time >= 0 ? time / unit : ~(~time / unit))
        }
        if let keyPartition { writer.append(bigEndian: keyPartition(element).rawValue) }
        if let keyTopic { writer.append(keyTopic(element)) }
        for field in keyFields {
          let value = field(element)
          // The length in front keeps `a`, `bc` and `ab`, `c` apart.
          writer.append(bigEndian: UInt32(truncatingIfNeeded: value.count))
          writer.append(value)
        }
      }
    }
    directory = { element, batchTime in
      let moment = element.flatMap { element in time.map { $0(element) } } ?? batchTime
      let local = Array(Timestamp(milliseconds: moment.milliseconds &+ shift).description.utf8)
      return parsed.render { name in
        if PathTemplate.timeUnits[name] != nil { return PathTemplate.timePart(name, of: local) }
        guard let element else { return "" }
        if let field = fields[name] { return PathTemplate.escape(field(element)) }
        if name == "topic", let topic { return PathTemplate.escape(Bytes(topic(element))) }
        if name == "partition", let partition { return "\(partition(element))" }
        return ""
      }
    }
  }
}

/// A path with places for names in it.
struct PathTemplate: Sendable {
  private enum Part: Sendable {
    case text(String)
    case name(String)
  }
  /// Milliseconds after which the placeholder may have another value.
  static let timeUnits: [String: Int64] = [
    "date": 86_400_000, "year": 86_400_000, "month": 86_400_000, "day": 86_400_000, "hour": 3_600_000,
    "minute": 60_000,
  ]
  /// The folders, outermost first.
  private var folders: [[Part]] = []
  private(set) var names: Set<String> = []
  private(set) var problem: String?

  /// - Parameter known: what may stand in braces.
  init(_ template: String, known: Set<String>) {
    for folder in template.split(separator: "/") {
      var parts: [Part] = []
      var rest = folder
      while let open = rest.firstIndex(of: "{") {
        guard let close = rest[open...].firstIndex(of: "}") else {
          problem = "the path `\(template)` has a { without its }"
          return
        }
        if open > rest.startIndex { parts.append(.text(String(rest[..<open]))) }
        let name = String(rest[rest.index(after: open)..<close])
        guard known.contains(name) else {
          problem =
            "the path `\(template)` asks for {\(name)}, which is not known here: choose of "
            + known.sorted().map { "{\($0)}" }.joined(separator: ", ")
          return
        }
        parts.append(.name(name))
        names.insert(name)
        rest = rest[rest.index(after: close)...]
      }
      if !rest.isEmpty { parts.append(.text(String(rest))) }
      if case .text(let text)? = parts.first, text.hasPrefix(".") || text.hasPrefix("_") {
        problem =
          "the path `\(template)` has a folder that begins with `\(text.prefix(1))`: readers skip those, choose another "
          + "name"
        return
      }
      folders.append(parts)
    }
  }

  /// The path with the values in their places; no slash at either end.
  func render(_ value: (String) -> String) -> String {
    folders.map { parts in
      var folder = ""
      for part in parts {
        switch part {
        case .text(let text): folder += text
        case .name(let name):
          let text = value(name)
          folder += text.isEmpty ? "__HIVE_DEFAULT_PARTITION__" : text
        }
      }
      // Only a value of its own can begin so: what readers skip, and `.` and `..`, are no names of folders.
      guard let first = folder.utf8.first, first == UInt8(ascii: ".") || first == UInt8(ascii: "_") else {
        return folder
      }
      return (first == UInt8(ascii: ".") ? "%2E" : "%5F") + folder.dropFirst()
    }.joined(separator: "/")
  }

  /// A part of a time written as `Timestamp` describes itself: `2013-01-31T10:20:30.000Z`.
  static func timePart(_ name: String, of text: [UInt8]) -> String {
    let range =
      switch name {
      case "date": 0..<10
      case "year": 0..<4
      case "month": 5..<7
      case "day": 8..<10
      case "hour": 11..<13
      default: 14..<16
      }
    return String(decoding: text[range], as: UTF8.self)
  }

  /// Hive's encoding of partition values: `%XX` for what means something in a path, and for control characters.
  static func escape(_ value: Bytes) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in value {
      if byte < 0x20 || byte == 0x7F || escaped.contains(byte) {
        bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static let escaped = Set("\"#%'*/:=?\\{}[]^".utf8)
}
