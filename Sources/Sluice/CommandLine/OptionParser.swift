import Groundwork
import SystemInterfaces

extension CommandSpec {
  /// Reads arguments (without the program's own name): `--name value`, `--name=value`, `-n value`, `-nvalue`, flags,
  /// arguments without a name, and after `--` whatever follows, untouched.
  ///
  /// With `--help` among them nothing else is checked, so that help is there when it is needed most.
  public func parse(_ arguments: [String]) throws(OptionError) -> Options {
    var options = Options(spec: self)
    let untilRest = arguments.prefix { $0 != "--" }
    if untilRest.contains("--help") || untilRest.contains("-h") {
      options.values["help"] = [""]
      return options
    }
    var index = 0
    while index < arguments.count {
      let argument = arguments[index]
      index += 1
      if argument == "--" {
        guard rest != nil else {
          if index < arguments.count { throw error(.unexpectedArgument(arguments[index])) }
          break
        }
        options.rest = Array(arguments[index...])
        break
      }
      guard argument.hasPrefix("-"), argument.count > 1 else {
        guard options.positionals.count < positionals.count else { throw error(.unexpectedArgument(argument)) }
        options.positionals.append(argument)
        continue
      }
      let (option, attached) = try find(argument)
      let shown = argument.hasPrefix("--") ? "--\(option.name)" : String(argument.prefix(2))
      var value = ""
      if option.arity == .flag {
        if let attached {
          guard attached == "true" || attached == "false" else { throw error(.valueOfFlag(option: shown)) }
          if attached == "false" { continue }
        }
      } else if let attached {
        value = attached
      } else {
        // A known option where a value should stand is a forgotten value; anything else is the value, also `-1`.
        guard index < arguments.count, !isOption(arguments[index]) else {
          throw error(.missingValue(option: shown, placeholder: option.placeholder))
        }
        value = arguments[index]
        index += 1
      }
      if let expectation = option.format.complaint(about: value), option.arity != .flag {
        throw error(.badValue(option: shown, value: value, expectation: expectation))
      }
      if option.arity == .value, options.values[option.name] != nil { throw error(.givenTwice(option: shown)) }
      options.values[option.name, default: []].append(value)
    }
    for option in self.options where option.isRequired && options.values[option.name] == nil {
      throw error(.missingOption("--\(option.name)", placeholder: option.placeholder))
    }
    for positional in positionals.dropFirst(options.positionals.count) where positional.isRequired {
      throw error(.missingArgument(positional.name))
    }
    return options
  }

  /// An error of this command.
  public func error(_ code: OptionError.Code) -> OptionError { OptionError(code, command: name) }

  /// The option an argument names, and the value attached to it.
  private func find(_ argument: String) throws(OptionError) -> (OptionSpec, attached: String?) {
    guard argument.hasPrefix("--") else {
      let letter = argument[argument.index(after: argument.startIndex)]
      guard let option = option(letter: letter) else {
        throw error(.unknownOption(argument, suggestion: suggestion(for: String(argument.dropFirst()))))
      }
      var attached = argument.dropFirst(2)
      if attached.isEmpty { return (option, nil) }
      if attached.first == "=" { attached = attached.dropFirst() }
      if option.arity == .flag { throw error(.valueOfFlag(option: "-\(letter)")) }
      return (option, String(attached))
    }
    let body = argument.dropFirst(2)
    let name = String(body.prefix { $0 != "=" })
    guard let option = option(named: name) else {
      throw error(.unknownOption("--\(name)", suggestion: suggestion(for: name)))
    }
    return (option, name.count < body.count ? String(body.dropFirst(name.count + 1)) : nil)
  }

  private func isOption(_ argument: String) -> Bool {
    if argument == "--" { return true }
    if argument.hasPrefix("--") { return option(named: String(argument.dropFirst(2).prefix { $0 != "=" })) != nil }
    return argument.count == 2 && argument.first == "-" && option(letter: argument.last!) != nil
  }

  private func suggestion(for name: String) -> String? {
    Suggestions.nearest(to: name, among: options.flatMap(\.longNames)).map { "--\($0)" }
  }
}

extension OptionSpec.Format {
  /// What is wrong with a value and what to write instead; nil where it is fine.
  func complaint(about value: String) -> String? {
    switch self {
    case .text: return nil
    case .integer(let range):
      guard let number = Int(value) else { return "is not a whole number" }
      if range.contains(number) { return nil }
      return range.upperBound == Int.max
        ? "is too small; the least is \(range.lowerBound)"
        : "is outside \(range.lowerBound) to \(range.upperBound)"
    case .duration:
      guard let duration = Duration(text: value) else { return "is not a duration; write 500ms, 2s or 1m" }
      return duration > .zero ? nil : "is no time at all; write 500ms, 2s or 1m"
    case .address:
      return Address(text: value) == nil ? "is not an address; write HOST:PORT, such as localhost:9092" : nil
    case .addresses:
      return value.split(separator: ",", omittingEmptySubsequences: false).contains {
        Address(text: String($0.trimmed)) == nil
      } ? "is not a list of addresses; write HOST:PORT, such as localhost:9092, with commas between several" : nil
    case .choice(let words):
      if words.contains(value) { return nil }
      return "is not known; write \(Options.alternatives(words))"
    case .keyValue:
      guard let equals = value.firstIndex(of: "="), equals != value.startIndex else {
        return "is not a setting; write KEY=VALUE"
      }
      return nil
    }
  }
}

extension StringProtocol {
  /// Without white space at both ends.
  var trimmed: SubSequence {
    var part = self[...]
    while let first = part.first, first.isWhitespace { part = part.dropFirst() }
    while let last = part.last, last.isWhitespace { part = part.dropLast() }
    return part
  }
}
