/// One option of a command or of a job: its name, what it takes, and the text `--help` shows for it.
///
/// ```swift
/// static let options: [OptionSpec] = [
///   .value("input", "TOPIC", "topic to read lines from", required: true),
///   .value("window", "TIME", "length of the window", default: "10s", format: .duration),
///   .flag("verbose", "show every batch"),
/// ]
/// ```
public struct OptionSpec: Sendable, Equatable {
  /// What a value must look like; checked when the arguments are read, so that a wrong one is reported before anything
  /// runs.
  public enum Format: Sendable, Equatable {
    /// Anything.
    case text
    /// A whole number within the range, both ends included.
    case integer(ClosedRange<Int>)
    /// `500ms`, `2s`, `1m`, longer than nothing; a bare number is milliseconds.
    case duration
    /// `HOST:PORT`.
    case address
    /// `HOST:PORT,HOST:PORT…`.
    case addresses
    /// One of these words.
    case choice([String])
    /// `KEY=VALUE`.
    case keyValue
  }

  /// How often and with what the option is given.
  public enum Arity: Sendable, Equatable {
    /// Stands alone.
    case flag
    /// Takes one value; given twice is an error.
    case value
    /// Takes one value each time it is given.
    case repeated
  }

  /// The name without dashes: `bootstrap-server`.
  public var name: String
  /// One letter for `-b`.
  public var short: Character?
  /// Other spellings that are understood and not shown.
  public var aliases: [String]
  /// How often it may be given, and whether with a value.
  public var arity: Arity
  /// What `--help` shows for the value: `HOST:PORT`.
  public var placeholder: String
  /// What it does, in one line for `--help`.
  public var help: String
  /// What holds when the option is not given.
  public var defaultValue: String?
  /// Whether the command refuses to run without it.
  public var isRequired: Bool
  /// What its value must look like; of no account for a flag.
  public var format: Format
  /// The setting this option stands for, such as `sluice.master`.
  public var setting: String?

  /// Every part by itself; `flag`, `value` and `repeated` are shorter for the usual ones.
  public init(
    name: String, short: Character? = nil, aliases: [String] = [], arity: Arity, placeholder: String = "VALUE",
    help: String, defaultValue: String? = nil, isRequired: Bool = false, format: Format = .text, setting: String? = nil
  ) {
    self.name = name
    self.short = short
    self.aliases = aliases
    self.arity = arity
    self.placeholder = placeholder
    self.help = help
    self.defaultValue = defaultValue
    self.isRequired = isRequired
    self.format = format
    self.setting = setting
  }

  /// An option that stands alone: `--verbose`.
  public static func flag(_ name: String, _ help: String, short: Character? = nil, setting: String? = nil) -> OptionSpec
  {
    OptionSpec(name: name, short: short, arity: .flag, help: help, setting: setting)
  }

  /// An option with one value: `--topic lines` or `--topic=lines`.
  public static func value(
    _ name: String, _ placeholder: String, _ help: String, short: Character? = nil, aliases: [String] = [],
    default defaultValue: String? = nil, required: Bool = false, format: Format = .text, setting: String? = nil
  ) -> OptionSpec {
    OptionSpec(
      name: name, short: short, aliases: aliases, arity: .value, placeholder: placeholder, help: help,
      defaultValue: defaultValue, isRequired: required, format: format, setting: setting)
  }

  /// An option that may be given several times, with a value each time.
  public static func repeated(
    _ name: String, _ placeholder: String, _ help: String, short: Character? = nil, aliases: [String] = [],
    required: Bool = false, format: Format = .text
  ) -> OptionSpec {
    OptionSpec(
      name: name, short: short, aliases: aliases, arity: .repeated, placeholder: placeholder, help: help,
      isRequired: required, format: format)
  }

  /// Every spelling, without dashes.
  var longNames: [String] { [name] + aliases }
}
