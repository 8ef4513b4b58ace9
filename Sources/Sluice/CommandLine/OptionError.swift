import Groundwork

/// What is wrong with the arguments of a command; the text is one line that says what to write instead.
public struct OptionError: DiagnosableError, Equatable {
  public enum Code: Sendable, Equatable {
    case unknownOption(String, suggestion: String?)
    case missingValue(option: String, placeholder: String)
    case valueOfFlag(option: String)
    case givenTwice(option: String)
    case missingOption(String, placeholder: String)
    case badValue(option: String, value: String, expectation: String)
    case missingArgument(String)
    case unexpectedArgument(String)
    case unknownCommand(String, suggestion: String?)
    /// The program asks for an option it never declared.
    case undeclared(String)
  }
  public var code: Code
  /// The command whose `--help` explains more.
  public var command: String

  public init(_ code: Code, command: String) {
    self.code = code
    self.command = command
  }

  public var fault: Fault {
    if case .undeclared = code { .ours } else { .user }
  }
  public var isRetriable: Bool { false }
  public var leavesUsable: Bool { true }

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
