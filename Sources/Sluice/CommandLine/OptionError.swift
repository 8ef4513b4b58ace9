import Groundwork

/// What is wrong with the arguments of a command; the text is one line that says what to write instead.
public struct OptionError: DiagnosableError, Equatable {
  /// What is wrong; names of options are as typed, dashes included, save in `undeclared`.
  public enum Code: Sendable, Equatable {
    /// No option has this name; the nearest that there is, where one is near.
    case unknownOption(String, suggestion: String?)
    /// No value follows an option that takes one.
    case missingValue(option: String, placeholder: String)
    /// A flag was given a value, other than `true` or `false` after `=`.
    case valueOfFlag(option: String)
    /// An option that takes one value was given twice.
    case givenTwice(option: String)
    /// A required option was not given.
    case missingOption(String, placeholder: String)
    /// A value is not of the option's format; `expectation` completes the sentence "the value …".
    case badValue(option: String, value: String, expectation: String)
    /// A required argument was not given; the name is the usage line's.
    case missingArgument(String)
    /// An argument that the command has no place for.
    case unexpectedArgument(String)
    /// No command has this name; the nearest that there is, where one is near.
    case unknownCommand(String, suggestion: String?)
    /// The program asks for an option it never declared.
    case undeclared(String)
  }
  /// The kind of error, with its particulars: what callers branch on.
  public var code: Code
  /// The command whose `--help` explains more.
  public var command: String

  /// What is wrong with which command's arguments.
  public init(_ code: Code, command: String) {
    self.code = code
    self.command = command
  }

  /// Ours where a program reads an option it never declared, else the user's.
  public var fault: Fault {
    if case .undeclared = code { .ours } else { .user }
  }
  /// False: the arguments must be changed first.
  public var isRetriable: Bool { false }
  /// True: reading arguments changes nothing.
  public var leavesUsable: Bool { true }

  /// One line: what is wrong, what to write instead, and whose `--help` to see.
  public var description: String {
    func meant(_ suggestion: String?) -> String { suggestion.map { "; did you mean \($0)?" } ?? "." }
    let what =
      switch code {
      case .unknownOption(let name, let suggestion): "unknown option \(name)\(meant(suggestion))"
      case .missingValue(let option, let placeholder): "\(option) needs a value: \(option) \(placeholder)."
      case .valueOfFlag(let option): "\(option) takes no value; write \(option) alone."
      case .givenTwice(let option): "\(option) is given twice; write it once."
      case .missingOption(let option, let placeholder): "\(option) \(placeholder) is missing."
      case .badValue(let option, let value, let expectation): "\(option): `\(value)` \(expectation)."
      case .missingArgument(let name): "\(name) is missing."
      case .unexpectedArgument(let text): "unexpected argument `\(text)`."
      case .unknownCommand(let name, let suggestion): "unknown command `\(name)`\(meant(suggestion))"
      case .undeclared(let name):
        "the program reads an option --\(name) that it does not declare; add it to its list of options."
      }
    return "\(what) See `\(command) --help`"
  }
}
