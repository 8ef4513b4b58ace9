import Groundwork
import SystemInterfaces

/// A file of settings in the syntax of Java's `Properties.load`, which is Spark's as well.
///
/// One `key=value`, `key: value` or `key value` a line; `#` and `!` begin a comment; a backslash at the end of a line
/// continues it; `\t`, `\n`, `\r`, `\f`, `\\`, `\:`, `\=`, `\ ` and `\u` with four hex digits are escapes. Text is
/// UTF-8. Source: the Java SE API's description of java.util.Properties.load(Reader).
public enum PropertiesFile {
  /// One setting of a file.
  public struct Entry: Sendable, Equatable {
    /// The text before the separator, escapes resolved; never empty.
    public var key: String
    /// The text after the separator, escapes resolved, without blanks around it; may be empty.
    public var value: String
    /// Counted from 1.
    public var line: Int
  }

  /// Reads the text of a file.
  ///
  /// - Parameter name: the file's name, for messages.
  public static func parse(_ text: String, name: String) throws(ConfigurationError) -> [Entry] {
    var entries: [Entry] = []
    var logical: [Character] = []
    var firstLine = 0
    var isContinued = false
    for (number, natural) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let content = natural.drop { $0 == " " || $0 == "\t" || $0 == "\u{0C}" }
      if !isContinued {
        if content.isEmpty || content.first == "#" || content.first == "!" { continue }
        logical = []
        firstLine = number + 1
      }
      // An odd number of backslashes at the end continues the line; the last of them is not part of it.
      isContinued = content.reversed().prefix { $0 == "\\" }.count % 2 == 1
      logical += isContinued ? content.dropLast() : content
      if !isContinued { entries.append(try entry(logical, firstLine, name)) }
    }
    if isContinued { entries.append(try entry(logical, firstLine, name)) }
    return entries
  }

  private static func entry(_ line: [Character], _ number: Int, _ name: String) throws(ConfigurationError) -> Entry {
    var position = 0
    var key = ""
    while position < line.count {
      let character = line[position]
      if character == "=" || character == ":" || isBlank(character) { break }
      key += try unescaped(line, &position, number, name)
    }
    while position < line.count, isBlank(line[position]) { position += 1 }
    if position < line.count, line[position] == "=" || line[position] == ":" {
      position += 1
      while position < line.count, isBlank(line[position]) { position += 1 }
    }
    var value = ""
    while position < line.count { value += try unescaped(line, &position, number, name) }
    while let last = value.last, isBlank(last) { value.removeLast() }
    if key.isEmpty {
      throw ConfigurationError(.badLine(file: name, line: number, what: "there is no key; write KEY=VALUE"))
    }
    return Entry(key: key, value: value, line: number)
  }

  private static func isBlank(_ character: Character) -> Bool {
    character == " " || character == "\t" || character == "\u{0C}"
  }

  /// The character at `position`, escapes resolved; moves past it.
  private static func unescaped(
    _ line: [Character], _ position: inout Int, _ number: Int, _ name: String
  ) throws(ConfigurationError) -> String {
    let character = line[position]
    position += 1
    guard character == "\\", position < line.count else { return String(character) }
    let escaped = line[position]
    position += 1
    switch escaped {
    case "t": return "\t"
    case "n": return "\n"
    case "r": return "\r"
    case "f": return "\u{0C}"
    case "u":
      let digits = line[position...].prefix(4)
      guard digits.count == 4, digits.allSatisfy(\.isHexDigit), let code = UInt32(String(digits), radix: 16),
        let scalar = Unicode.Scalar(code)
      else {
        throw ConfigurationError(
          .badLine(file: name, line: number, what: "`\\u` must be followed by the four hex digits of a character"))
      }
      position += 4
      return String(Character(scalar))
    default: return String(escaped)
    }
  }
}

extension SluiceConfiguration {
  /// The settings of a command line: the properties file it names, `--conf`, and the options that stand for a setting.
  ///
  /// A dedicated option stands over `--conf` of the same key.
  public init(options: Options, files: any FileStore) throws(ConfigurationError) {
    self.init()
    func given(_ name: String) -> [String] { options.values[name] ?? [] }
    if let path = given("properties-file").last {
      let content: Bytes
      do { content = try files.contents(of: path) } catch {
        throw ConfigurationError(.unreadableFile(error.description))
      }
      for entry in try PropertiesFile.parse(String(content), name: path) {
        set(entry.key, entry.value, in: .file, origin: "\(path), line \(entry.line)")
      }
    }
    for text in given("conf") {
      let key = text.prefix { $0 != "=" }
      set(String(key), String(text.dropFirst(key.count + 1)), in: .flags, origin: "--conf")
    }
    for option in options.spec.options {
      guard let key = option.setting, let value = given(option.name).last else { continue }
      set(key, option.arity == .flag ? "true" : value, in: .flags, origin: "--\(option.name)")
    }
  }
}
