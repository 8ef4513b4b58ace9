/// A setting the engine knows.
public struct ConfigurationKey: Sendable {
  /// What a value must be; `master` is what `Master(text:)` reads, `integer` is 0 or more, `duration` longer than
  /// nothing.
  public enum Kind: Sendable { case text, integer, number, boolean, duration, master }
  /// The key: `sluice.streaming.batchInterval`.
  public var name: String
  /// What a value must be.
  public var kind: Kind
  /// What holds where nothing is set, as text; nil where that is left to whoever reads it.
  public var defaultValue: String?
  /// One line that says what it does.
  public var help: String

  init(_ name: String, _ kind: Kind, _ defaultValue: String?, _ help: String) {
    self.name = name
    self.kind = kind
    self.defaultValue = defaultValue
    self.help = help
  }

  /// Every setting there is; names are Spark's, with `sluice.` for `spark.`.
  public static let all: [ConfigurationKey] = [
    .init("sluice.app.name", .text, nil, "the job's name; the executable's where none is given"),
    .init("sluice.master", .master, "local[*]", "executor threads: local[N], or local[*] for one a core"),
    .init("sluice.default.parallelism", .integer, nil, "reduce partitions where an operator names no number"),
    .init("sluice.task.maxFailures", .integer, "4", "attempts of a task before its batch fails"),
    .init("sluice.streaming.batchInterval", .duration, "1s", "time between batches"),
    .init("sluice.streaming.checkpoint", .text, nil, "folder for what a restart needs"),
    .init("sluice.streaming.availableNow", .boolean, "false", "stop once what the topics held at start is done"),
    .init("sluice.streaming.gracefulStopTimeout", .duration, "30s", "bound of a graceful stop"),
    .init("sluice.streaming.unpersist", .boolean, "true", "free what a stream kept of datasets that it forgets"),
    .init("sluice.streaming.concurrentJobs", .integer, "1", "batches at once: only 1, state and commits need order"),
    .init("sluice.kafka.bootstrapServers", .text, nil, "brokers to begin with; the embedded one where none is given"),
    .init("sluice.kafka.maxRatePerPartition", .integer, nil, "most records a second and topic partition"),
    .init("sluice.kafka.startingOffsets", .text, "earliest", "where to begin without committed offsets, or latest"),
    .init("sluice.broker.data", .text, nil, "data folder of the embedded broker"),
  ]

  static let byName: [String: ConfigurationKey] = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}
