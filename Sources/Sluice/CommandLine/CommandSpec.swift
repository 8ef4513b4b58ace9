/// What a command takes and how it explains itself: the source of its parser and of its `--help`.
public struct CommandSpec: Sendable {
  /// An argument without a name.
  public struct Positional: Sendable {
    /// What the usage line and messages call it: `TOPIC`.
    public var name: String
    /// One line for `--help`.
    public var help: String
    /// Whether the command refuses to run without it.
    public var isRequired: Bool
    /// An argument that must be given, unless `required` is false; optional ones belong last.
    public init(_ name: String, _ help: String, required: Bool = true) {
      self.name = name
      self.help = help
      isRequired = required
    }
  }

  /// A command line that works as it stands, and what it does.
  public struct Example: Sendable {
    /// As it is typed into a shell.
    public var line: String
    /// One line that `--help` shows above it.
    public var what: String
    /// A command line and what it does.
    public init(_ line: String, _ what: String) {
      self.line = line
      self.what = what
    }
  }

  /// As it is typed: `sluice produce`, `WordCount`.
  public var name: String
  /// One sentence.
  public var summary: String
  /// Further paragraphs.
  public var discussion: String
  /// The arguments without a name, in the order in which they are given.
  public var positionals: [Positional]
  /// The options, `--help` among them, each name once.
  public var options: [OptionSpec]
  /// What follows `--`, for the usage line; nil where nothing may.
  public var rest: String?
  /// Shown at the end of `--help`.
  public var examples: [Example]

  /// Where two options have one name the first stands, so that a job's own come before the standard ones.
  public init(
    name: String, summary: String, discussion: String = "", positionals: [Positional] = [], options: [OptionSpec],
    rest: String? = nil, examples: [Example] = []
  ) {
    self.name = name
    self.summary = summary
    self.discussion = discussion
    self.positionals = positionals
    self.rest = rest
    self.examples = examples
    self.options = []
    var takenNames: Set<String> = []
    var takenLetters: Set<Character> = []
    for var option in options + [CommandSpec.helpOption] where !takenNames.contains(option.name) {
      if let letter = option.short, !takenLetters.insert(letter).inserted { option.short = nil }
      takenNames.formUnion(option.longNames)
      self.options.append(option)
    }
  }

  static let helpOption = OptionSpec.flag("help", "show this text", short: "h")

  func option(named name: String) -> OptionSpec? { options.first { $0.longNames.contains(name) } }
  func option(letter: Character) -> OptionSpec? { options.first { $0.short == letter } }
}
