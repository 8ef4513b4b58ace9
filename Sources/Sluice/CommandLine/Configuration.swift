import Groundwork
import JobScheduling

/// The settings of a job: what code says stands over flags, flags over the properties file, the file over defaults.
///
/// Keys of the engine begin with `sluice.`; any other key is the job's own and passes through.
public struct SluiceConfiguration: Sendable {
  /// Where a setting comes from; a later layer stands over an earlier one.
  public enum Layer: Int, Sendable, CaseIterable, Comparable {
    /// The properties file; the command line, `--conf` included; the job's own code.
    case file, flags, code
    /// Whether `b` stands over `a`.
    public static func < (a: Layer, b: Layer) -> Bool { a.rawValue < b.rawValue }
  }

  struct Entry: Sendable {
    var value: String
    /// For messages: `--batch-interval`, `job.properties, line 3`, `the job's code`.
    var origin: String
  }

  private var layers: [[String: Entry]] = Layer.allCases.map { _ in [:] }

  /// Nothing but defaults.
  public init() {}

  /// Sets a value from code, which stands over everything else.
  public mutating func set(_ key: String, _ value: String) { set(key, value, in: .code, origin: "the job's code") }

  /// Sets a value in one layer, in place of an earlier one there; nothing is checked before it is read.
  /// - Parameter origin: where it comes from, for messages: `--conf`, `job.properties, line 3`.
  public mutating func set(_ key: String, _ value: String, in layer: Layer, origin: String) {
    layers[layer.rawValue][key] = Entry(value: value, origin: origin)
  }

  /// The value that stands, else the default, else nil.
  public func text(_ key: String) -> String? {
    entry(key)?.value ?? ConfigurationKey.byName[key]?.defaultValue
  }

  /// Where the value that stands comes from; nil for a default.
  public func origin(of key: String) -> String? { entry(key)?.origin }

  /// A whole number, not negative.
  public func int(_ key: String) throws(ConfigurationError) -> Int? {
    try typed(key, "is not a whole number of 0 or more") { Int($0).flatMap { $0 >= 0 ? $0 : nil } }
  }

  /// A number, which may have a fraction; nil where nothing is said.
  /// - Throws: `badValue` for another text.
  public func double(_ key: String) throws(ConfigurationError) -> Double? {
    try typed(key, "is not a number") { Double($0) }
  }

  /// A count of bytes such as `64k`, `512m`, `1g`, by powers of 1,024; a bare number is bytes. Nil where nothing is said.
  /// - Throws: `badValue` for another text.
  public func bytes(_ key: String) throws(ConfigurationError) -> Int? {
    try typed(key, "is not a count of bytes such as 64k, 512m or 1g") { text in
      let text = text.lowercased()
      let shift = ["k": 10, "m": 20, "g": 30, "t": 40][text.last ?? " "]
      guard let count = Int(shift == nil ? text[...] : text.dropLast()), count >= 0 else { return nil }
      let (bytes, overflow) = count.multipliedReportingOverflow(by: 1 << (shift ?? 0))
      return overflow ? nil : bytes
    }
  }

  /// `true` or `false`; false where nothing is said.
  public func bool(_ key: String) throws(ConfigurationError) -> Bool {
    try typed(key, "is neither true nor false") { $0 == "true" ? true : $0 == "false" ? false : nil } ?? false
  }

  /// A time longer than nothing, such as `500ms`; a bare number is milliseconds.
  public func duration(_ key: String) throws(ConfigurationError) -> Duration? {
    try typed(key, "is not a duration; write 500ms, 2s or 1m") {
      Duration(text: $0).flatMap { $0 > .zero ? $0 : nil }
    }
  }

  /// How many executor threads `sluice.master` asks for.
  ///
  /// - Parameter cores: what `local[*]` means.
  public func executorCount(cores: Int) throws(ConfigurationError) -> Int {
    try typed("sluice.master", "is not understood; write local[2], or local[*] for one thread a core") {
      Master(text: $0)
    }?.executorCount(cores: cores) ?? cores
  }

  /// Every setting that was given, by key in order, with the value that stands.
  public var given: [(key: String, value: String)] {
    Set(layers.flatMap(\.keys)).sorted().map { ($0, entry($0)?.value ?? "") }
  }

  /// What is given and unknown, one line each, with the nearest known key.
  public var warnings: [String] {
    var lines: [String] = []
    for (key, _) in given {
      let origin = entry(key)?.origin ?? ""
      if key.hasPrefix("sluice."), ConfigurationKey.byName[key] == nil, SchedulerSettings.poolProperty(key) == nil {
        let nearest = Suggestions.nearest(to: key, among: ConfigurationKey.all.map(\.name))
        lines.append("unknown setting \(key) (from \(origin)); it has no effect\(SluiceConfiguration.meant(nearest))")
      } else if key.hasPrefix("spark.") {
        let renamed = "sluice." + key.dropFirst("spark.".count)
        let nearest = Suggestions.nearest(to: renamed, among: ConfigurationKey.all.map(\.name))
        lines.append(
          "setting \(key) (from \(origin)) is Spark's; it has no effect\(SluiceConfiguration.meant(nearest))")
      }
    }
    return lines
  }

  /// Reads each known key once with its type, so that a wrong value is reported at start and not when it is used.
  public func check() throws(ConfigurationError) {
    for key in ConfigurationKey.all {
      switch key.kind {
      case .text: break
      case .integer: _ = try int(key.name)
      case .number: _ = try double(key.name)
      case .boolean: _ = try bool(key.name)
      case .duration: _ = try duration(key.name)
      case .bytes: _ = try bytes(key.name)
      case .master: _ = try executorCount(cores: 1)
      }
    }
  }

  private static func meant(_ nearest: String?) -> String { nearest.map { "; did you mean \($0)?" } ?? "" }

  private func entry(_ key: String) -> Entry? {
    for layer in Layer.allCases.reversed() {
      if let found = layers[layer.rawValue][key] { return found }
    }
    return nil
  }

  private func typed<T>(
    _ key: String, _ expectation: String, _ convert: (String) -> T?
  ) throws(ConfigurationError) -> T? {
    guard let text = text(key) else { return nil }
    guard let value = convert(text) else {
      throw ConfigurationError(
        .badValue(key: key, value: text, expectation: expectation, origin: origin(of: key) ?? "the default"))
    }
    return value
  }
}

/// What is wrong with a setting or a properties file.
public struct ConfigurationError: DiagnosableError, Equatable {
  /// The kinds of error, each with what its text needs.
  public enum Code: Sendable, Equatable {
    /// A setting's text is not of its kind; `expectation` completes the sentence "the value …", `origin` is where it
    /// was set.
    case badValue(key: String, value: String, expectation: String, origin: String)
    /// The properties file is missing or cannot be read; the text says which and why.
    case unreadableFile(String)
    /// A line of a properties file, counted from 1, is none of the forms.
    case badLine(file: String, line: Int, what: String)
    /// The environment names no folder where state could go.
    case noStateDirectory
  }
  /// The kind of error, with its particulars: what callers branch on.
  public var code: Code
  /// An error of this kind; its text follows from it.
  public init(_ code: Code) { self.code = code }
  /// The user's, always.
  public var fault: Fault { .user }
  /// False: the text must be changed first.
  public var isRetriable: Bool { false }
  /// True: the configuration itself is as before.
  public var leavesUsable: Bool { true }
  /// Names the setting or the line, what is expected, and where the value comes from.
  public var description: String {
    switch code {
    case .badValue(let key, let value, let expectation, let origin):
      "\(key): `\(value)` \(expectation) (from \(origin))"
    case .unreadableFile(let what): "the properties file cannot be read: \(what)"
    case .badLine(let file, let line, let what): "\(file), line \(line): \(what)"
    case .noStateDirectory:
      "neither XDG_STATE_HOME nor HOME is set, so there is no place for state; set HOME or name a folder with --data"
    }
  }
}

/// `local`, `local[N]` or `local[*]`.
public struct Master: Sendable, Equatable {
  /// nil: one thread a core.
  public var threads: Int?

  /// nil where the text is none of the forms or N is not 1 to 1,024.
  public init?(text: String) {
    if text == "local" {
      threads = 1
      return
    }
    guard text.hasPrefix("local["), text.hasSuffix("]") else { return nil }
    let inner = text.dropFirst(6).dropLast()
    if inner == "*" { return }
    guard let count = Int(inner), (1...1024).contains(count) else { return nil }
    threads = count
  }

  /// The number of executors: the one given, else `cores`, and at least 1.
  public func executorCount(cores: Int) -> Int { threads ?? max(1, cores) }
}
