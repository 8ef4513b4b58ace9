import Groundwork
import SystemInterfaces

/// The options a program was given, by name and with their types.
///
/// Asking for a name that was never declared throws: it is a slip in the program, and silence would hide it.
public struct Options: Sendable {
  let spec: CommandSpec
  /// What was given, by canonical name, in order. Flags stand with an empty text.
  var values: [String: [String]] = [:]
  /// The arguments without a name.
  public internal(set) var positionals: [String] = []
  /// What followed `--`.
  public internal(set) var rest: [String] = []

  init(spec: CommandSpec) { self.spec = spec }

  /// Whether `--help` was given; then nothing else was read.
  public var isHelpAsked: Bool { values["help"] != nil }

  /// Whether the option was given at all.
  public func isGiven(_ name: String) throws(OptionError) -> Bool {
    values[try declared(name).name] != nil
  }

  /// Whether a flag was given.
  public func flag(_ name: String) throws(OptionError) -> Bool { try isGiven(name) }

  /// The value, or its default, or nil.
  public func string(_ name: String) throws(OptionError) -> String? {
    let option = try declared(name)
    return values[option.name]?.last ?? option.defaultValue
  }

  /// The value or its default; throws where there is neither.
  public func required(_ name: String) throws(OptionError) -> String {
    guard let value = try string(name) else {
      throw spec.error(.missingOption("--\(name)", placeholder: try declared(name).placeholder))
    }
    return value
  }

  /// A whole number.
  public func int(_ name: String) throws(OptionError) -> Int? {
    try typed(name, "is not a whole number") { Int($0) }
  }

  /// A time, such as `500ms` or `2s`.
  public func duration(_ name: String) throws(OptionError) -> Duration? {
    try typed(name, "is not a duration; write 500ms, 2s or 1m") { Duration(text: $0) }
  }

  /// `HOST:PORT`.
  public func address(_ name: String) throws(OptionError) -> Address? {
    try typed(name, "is not an address; write HOST:PORT, such as localhost:9092") { Address(text: $0) }
  }

  /// `HOST:PORT,HOST:PORT…`; empty where the option was not given.
  public func addresses(_ name: String) throws(OptionError) -> [Address] {
    guard let text = try string(name) else { return [] }
    return text.split(separator: ",").compactMap { Address(text: String($0.trimmed)) }
  }

  /// Every value of a repeated option, in order.
  public func all(_ name: String) throws(OptionError) -> [String] {
    let option = try declared(name)
    return values[option.name] ?? option.defaultValue.map { [$0] } ?? []
  }

  /// The `KEY=VALUE` values of a repeated option; of two with one key the later stands.
  public func properties(_ name: String) throws(OptionError) -> [String: String] {
    var result: [String: String] = [:]
    for text in try all(name) {
      let key = text.prefix { $0 != "=" }
      result[String(key)] = String(text.dropFirst(key.count + 1))
    }
    return result
  }

  /// An error about the value given for an option, in the words of the parser's own.
  public func complaint(about name: String, _ expectation: String) -> OptionError {
    spec.error(
      .badValue(option: "--\(name)", value: values[name]?.last ?? "", expectation: expectation))
  }

  /// The arguments that give these options again, in the order they are declared: what `submit` hands to a job.
  package func arguments(only names: [String]) -> [String] {
    var result: [String] = []
    for option in spec.options where names.contains(option.name) {
      for value in values[option.name] ?? [] {
        result.append("--\(option.name)")
        if option.arity != .flag { result.append(value) }
      }
    }
    return result
  }

  /// `a, b or c`.
  static func alternatives(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.first ?? "" }
    return words.dropLast().joined(separator: ", ") + " or " + last
  }

  private func declared(_ name: String) throws(OptionError) -> OptionSpec {
    guard let option = spec.option(named: name) else { throw spec.error(.undeclared(name)) }
    return option
  }

  private func typed<T>(
    _ name: String, _ expectation: String, _ convert: (String) -> T?
  ) throws(OptionError) -> T? {
    guard let text = try string(name) else { return nil }
    guard let value = convert(text) else {
      throw spec.error(.badValue(option: "--\(name)", value: text, expectation: expectation))
    }
    return value
  }
}
