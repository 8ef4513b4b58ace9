extension CommandSpec {
  /// The text of `--help`: usage, what it does, arguments, options in one aligned column, examples.
  ///
  /// - Parameter columns: where lines are broken.
  public func helpText(columns: Int = 100) -> String {
    var lines: [String] = [HelpText.usage(self), ""]
    lines += HelpText.wrapped(summary, columns: columns)
    if !discussion.isEmpty {
      for paragraph in discussion.split(separator: "\n", omittingEmptySubsequences: true) {
        lines += [""] + HelpText.wrapped(String(paragraph), columns: columns)
      }
    }
    if !positionals.isEmpty {
      lines += ["", "Arguments:"]
      lines += HelpText.twoColumns(positionals.map { ($0.name, $0.help) }, columns: columns)
    }
    lines += ["", "Options:"]
    lines += HelpText.twoColumns(options.map { (HelpText.left($0), HelpText.right($0)) }, columns: columns)
    if !examples.isEmpty {
      lines += ["", examples.count == 1 ? "Example:" : "Examples:"]
      for example in examples { lines += ["  # \(example.what)", "  \(example.line)"] }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

/// The pieces of a help text.
package enum HelpText {
  static func usage(_ spec: CommandSpec) -> String {
    var text = "Usage: \(spec.name)"
    for positional in spec.positionals {
      text += positional.isRequired ? " \(positional.name)" : " [\(positional.name)]"
    }
    for option in spec.options where option.isRequired {
      text += " --\(option.name) \(option.placeholder)\(option.arity == .repeated ? "…" : "")"
    }
    if spec.options.contains(where: { !$0.isRequired }) { text += " [options]" }
    if let rest = spec.rest { text += " [-- \(rest)]" }
    return text
  }

  static func left(_ option: OptionSpec) -> String {
    var text = option.short.map { "-\($0), " } ?? "    "
    text += "--\(option.name)"
    if option.arity != .flag { text += " \(option.placeholder)" }
    return text
  }

  static func right(_ option: OptionSpec) -> String {
    var text = option.help
    var notes: [String] = []
    if case .choice(let words) = option.format { notes.append(Options.alternatives(words)) }
    if let value = option.defaultValue { notes.append("default \(value)") }
    if option.arity == .repeated { notes.append("may be repeated") }
    if option.isRequired { notes.append("required") }
    if !notes.isEmpty { text += " (\(notes.joined(separator: "; ")))" }
    return text
  }

  /// Pairs in two columns; the right one is wrapped under itself. A long left one stands on a line of its own.
  package static func twoColumns(_ rows: [(String, String)], columns: Int) -> [String] {
    let longest = 34
    let width = rows.map(\.0.count).filter { $0 <= longest }.max() ?? 0
    let indent = String(repeating: " ", count: width + 4)
    var lines: [String] = []
    for (left, right) in rows {
      var parts = wrapped(right, columns: max(20, columns - width - 4))[...]
      if left.count <= width {
        let gap = String(repeating: " ", count: width - left.count + 2)
        lines.append("  \(left)\(gap)\(parts.popFirst() ?? "")")
      } else {
        lines.append("  \(left)")
      }
      lines += parts.map { indent + $0 }
    }
    return lines
  }

  /// Breaks a text at spaces so that no line is longer than `columns`, a longer word excepted.
  static func wrapped(_ text: String, columns: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if line.isEmpty {
        line = String(word)
      } else if line.count + 1 + word.count <= columns {
        line += " \(word)"
      } else {
        lines.append(line)
        line = String(word)
      }
    }
    if !line.isEmpty { lines.append(line) }
    return lines
  }
}
