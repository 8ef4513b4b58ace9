import Groundwork

/// Who goes first where several compete.
public enum SchedulingMode: String, Sendable {
  /// The one submitted first.
  case fifo
  /// Shares by weight; see `FairOrder`.
  case fair
}

/// How one pool of jobs is treated beside the others; Spark's pool properties.
public struct PoolSettings: Sendable, Equatable {
  /// Its share in proportion to the other pools': weight 2 gets twice the tasks of weight 1.
  public var weight: Int
  /// Tasks at a time that it gets before the others' weights count.
  public var minShare: Int
  /// Which of the pool's own jobs goes first.
  public var mode: SchedulingMode

  /// - Parameters:
  ///   - weight: at least 1.
  ///   - minShare: tasks at a time, at least 0.
  public init(weight: Int = 1, minShare: Int = 0, mode: SchedulingMode = .fifo) {
    self.weight = max(1, weight)
    self.minShare = max(0, minShare)
    self.mode = mode
  }
}

/// When a task that takes long is run a second time beside the first attempt; Spark's `spark.speculation` settings.
public struct SpeculationSettings: Sendable, Equatable {
  /// How often running tasks are looked at.
  public var interval: Duration
  /// How many times slower than the median of its stage's tasks a task is before it is run again.
  public var multiplier: Double
  /// The part of a stage's tasks that must be done before any is run again.
  public var quantile: Double
  /// A task that has run for less is not run again.
  public var minTaskRuntime: Duration

  /// The defaults are Spark's.
  public init(
    interval: Duration = .milliseconds(100), multiplier: Double = 1.5, quantile: Double = 0.75,
    minTaskRuntime: Duration = .milliseconds(100)
  ) {
    self.interval = max(.milliseconds(1), interval)
    self.multiplier = max(1, multiplier)
    self.quantile = min(1, max(0, quantile))
    self.minTaskRuntime = max(.zero, minTaskRuntime)
  }
}

/// How the scheduler chooses among jobs, and what else may be set about it.
public struct SchedulerSettings: Sendable, Equatable {
  /// The pool of jobs that name none.
  public static let defaultPool = "default"

  /// `fifo`: jobs in the order of their submission, whatever pools they name. `fair`: by pools.
  public var mode = SchedulingMode.fifo
  /// Pools by name; one that is not here has the defaults of `PoolSettings`.
  public var pools: [String: PoolSettings] = [:]
  /// nil: no task is run a second time unless it failed.
  public var speculation: SpeculationSettings?
  /// Events that may wait for one queue of listeners before it drops some.
  public var listenerQueueCapacity = 10_000

  /// First in, first out, without speculation.
  public init() {}

  /// Reads the settings whose keys begin with `sluice.scheduler.` and `sluice.speculation`; others are not looked at.
  /// - Throws: where a value cannot be understood; the error names key, value and what is expected.
  public init(_ settings: [String: String]) throws(SchedulerSettingsError) {
    func read<Value>(
      _ key: String, _ expectation: String, _ convert: (String) -> Value?
    ) throws(SchedulerSettingsError) -> Value? {
      guard let text = settings[key] else { return nil }
      guard let value = convert(text) else {
        throw SchedulerSettingsError(key: key, value: text, expectation: expectation)
      }
      return value
    }
    func mode(_ text: String) -> SchedulingMode? { SchedulingMode(rawValue: text.lowercased()) }
    func duration(_ text: String) -> Duration? { Duration(text: text).flatMap { $0 > .zero ? $0 : nil } }
    func count(_ least: Int) -> (String) -> Int? { { Int($0).flatMap { $0 >= least ? $0 : nil } } }

    self.mode = try read("sluice.scheduler.mode", "is neither FIFO nor FAIR", mode) ?? .fifo
    listenerQueueCapacity =
      try read(
        "sluice.scheduler.listenerbus.eventqueue.capacity", "is not a whole number of 1 or more", count(1))
      ?? listenerQueueCapacity
    for key in settings.keys.sorted() {
      guard let (pool, property) = SchedulerSettings.poolProperty(key) else { continue }
      switch property {
      case "weight":
        pools[pool, default: PoolSettings()].weight =
          try read(key, "is not a whole number of 1 or more", count(1)) ?? 1
      case "minShare":
        pools[pool, default: PoolSettings()].minShare =
          try read(key, "is not a whole number of 0 or more", count(0)) ?? 0
      default: pools[pool, default: PoolSettings()].mode = try read(key, "is neither FIFO nor FAIR", mode) ?? .fifo
      }
    }
    var speculation = SpeculationSettings()
    speculation.interval =
      try read("sluice.speculation.interval", "is not a duration; write 100ms or 1s", duration) ?? speculation.interval
    speculation.multiplier =
      try read("sluice.speculation.multiplier", "is not a number of 1 or more") {
        Double($0).flatMap { $0 >= 1 && $0.isFinite ? $0 : nil }
      } ?? speculation.multiplier
    speculation.quantile =
      try read("sluice.speculation.quantile", "is not a number from 0 to 1") {
        Double($0).flatMap { (0...1).contains($0) ? $0 : nil }
      } ?? speculation.quantile
    speculation.minTaskRuntime =
      try read("sluice.speculation.minTaskRuntime", "is not a duration; write 100ms or 1s", duration)
      ?? speculation.minTaskRuntime
    let isOn = try read("sluice.speculation", "is neither true nor false") { ["true": true, "false": false][$0] }
    self.speculation = isOn == true ? speculation : nil
  }

  /// What a key of the form `sluice.scheduler.pool.<name>.weight`, `.minShare` or `.mode` sets; nil for any other.
  public static func poolProperty(_ key: String) -> (pool: String, property: String)? {
    let prefix = "sluice.scheduler.pool."
    guard key.hasPrefix(prefix), let dot = key.lastIndex(of: ".") else { return nil }
    let start = key.index(key.startIndex, offsetBy: prefix.count)
    guard start < dot else { return nil }
    let property = String(key[key.index(after: dot)...])
    return ["weight", "minShare", "mode"].contains(property) ? (String(key[start..<dot]), property) : nil
  }
}

/// A setting of the scheduler that cannot be understood.
public struct SchedulerSettingsError: DiagnosableError, Equatable {
  /// The setting's name.
  public var key: String
  /// What was given.
  public var value: String
  /// Why it is none, for people.
  public var expectation: String

  /// The user's.
  public var fault: Fault { .user }
  /// Not without another value.
  public var isRetriable: Bool { false }
  /// Nothing was made of the settings.
  public var leavesUsable: Bool { true }
  /// Key, value and what is expected.
  public var description: String { "\(key): `\(value)` \(expectation)" }
}
