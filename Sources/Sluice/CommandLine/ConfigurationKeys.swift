/// A setting the engine knows.
public struct ConfigurationKey: Sendable {
  /// What a value must be; `master` is what `Master(text:)` reads, `integer` is 0 or more, `duration` longer than
  /// nothing, `bytes` a count of bytes such as `512m`.
  public enum Kind: Sendable { case text, integer, number, boolean, duration, bytes, master }
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
    .init(
      "sluice.executor.memory", .bytes, "1g",
      "memory for what datasets keep and shuffles work in; what is more goes to sluice.local.dir"),
    .init(
      "sluice.memory.storageFraction", .number, "0.5", "part of it that shuffles leave to persisted datasets"),
    .init(
      "sluice.local.dir", .text, nil, "folder for data that does not fit into memory; in the state folder if unset"),
    .init("sluice.scheduler.mode", .text, "FIFO", "which of several jobs goes first: FIFO, or FAIR by pools"),
    .init("sluice.scheduler.pool.<name>.weight", .integer, "1", "the pool's share beside the other pools, with FAIR"),
    .init("sluice.scheduler.pool.<name>.minShare", .integer, "0", "tasks at a time a pool gets before weights count"),
    .init("sluice.scheduler.pool.<name>.mode", .text, "FIFO", "which of a pool's own jobs goes first: FIFO or FAIR"),
    .init(
      "sluice.scheduler.listenerbus.exitTimeout", .duration, "10s",
      "how long the end of a job waits for listeners that have not heard everything"),
    .init(
      "sluice.scheduler.listenerbus.eventqueue.capacity", .integer, "10000",
      "events that may wait for a queue of listeners before it drops some"),
    .init("sluice.speculation", .boolean, "false", "run a task a second time where the first attempt takes long"),
    .init("sluice.speculation.interval", .duration, "100ms", "time between looks for tasks that take long"),
    .init("sluice.speculation.multiplier", .number, "1.5", "times the median of its stage that is long for a task"),
    .init(
      "sluice.speculation.quantile", .number, "0.75", "part of a stage that must be done before a task is run twice"),
    .init("sluice.speculation.minTaskRuntime", .duration, "100ms", "a task that ran for less is not run twice"),
    .init("sluice.streaming.batchInterval", .duration, "1s", "time between batches"),
    .init("sluice.streaming.checkpoint", .text, nil, "folder for what a restart needs; none keeps nothing"),
    .init(
      "sluice.streaming.checkpoint.sync", .text, nil,
      "what survives a power loss: none (the default with at-least-once), commits (decided batches, the default), all "
        + "(plans of batches under way too)"),
    .init(
      "sluice.streaming.guarantee", .text, "exactly-once",
      "exactly-once where source and output allow it; at-least-once: a batch cut short by a crash is repeated"),
    .init(
      "sluice.kafka.transactionTimeout", .duration, "60s",
      "after which the cluster aborts the transaction of a batch whose job has died"),
    .init(
      "sluice.streaming.onBatchFailure", .text, "stop", "what a failed batch does: stop, retry, or skip (in a ledger)"),
    .init("sluice.streaming.onBatchFailure.backoff", .duration, "1s", "wait before a failed batch is retried; doubles"),
    .init(
      "sluice.streaming.catchUp", .text, "none",
      "missed batches: none (one batch for all) or all (one each, 1,000 at most)"),
    .init("sluice.streaming.backpressure.enabled", .boolean, "true", "bound batches by what the job can process"),
    .init("sluice.streaming.backpressure.initialRate", .number, nil, "records a second of the first batch of all"),
    .init("sluice.streaming.backpressure.pid.proportional", .number, "1", "weight of the present error"),
    .init("sluice.streaming.backpressure.pid.integral", .number, "0.2", "weight of the piled up scheduling delay"),
    .init("sluice.streaming.backpressure.pid.derived", .number, "0", "weight of the error's change"),
    .init("sluice.streaming.backpressure.pid.minRate", .number, "100", "records a second below which no rate goes"),
    .init("sluice.streaming.state.drop", .text, nil, "operators whose stored state is given up, apart by commas"),
    .init("sluice.streaming.availableNow", .boolean, "false", "stop once what the topics held at start is done"),
    .init("sluice.streaming.gracefulStopTimeout", .duration, "30s", "bound of a graceful stop"),
    .init("sluice.streaming.unpersist", .boolean, "true", "free what a stream kept of datasets that it forgets"),
    .init(
      "sluice.streaming.concurrentJobs", .integer, "1",
      "batches at once, of an at-least-once job without state and windows"),
    .init(
      "sluice.streaming.pipelining", .boolean, "false",
      "compute a batch while the one before is committed, where commits wait for a distant cluster or a slow disk"),
    .init(
      "sluice.streaming.checkDeterminism", .text, nil, "compute every Nth batch twice and compare; true: every 100th"),
    .init("sluice.streaming.blockInterval", .duration, "200ms", "received data of this time is one task's work"),
    .init("sluice.streaming.receiver.maxRate", .integer, nil, "most records a second and receiver"),
    .init("sluice.streaming.receiver.writeAheadLog.enable", .boolean, "false", "keep what is received past a crash"),
    .init("sluice.streaming.receiverRestartDelay", .duration, "100ms", "wait before a receiver starts anew; doubles"),
    .init(
      "sluice.streaming.fileStream.minRememberDuration", .duration, "60s",
      "files older than this are not picked up late"),
    .init("sluice.kafka.bootstrapServers", .text, nil, "brokers to begin with; the embedded one where none is given"),
    .init("sluice.kafka.maxRatePerPartition", .integer, nil, "most records a second and topic partition"),
    .init(
      "sluice.kafka.minRatePerPartition", .integer, "1",
      "records a second and topic partition below which no rate control goes"),
    .init("sluice.kafka.maxOffsetsPerTrigger", .integer, nil, "most records a batch, over all partitions"),
    .init("sluice.kafka.minOffsetsPerTrigger", .integer, nil, "records that a batch waits for"),
    .init("sluice.kafka.maxTriggerDelay", .duration, "15m", "how long a batch waits for minOffsetsPerTrigger"),
    .init("sluice.kafka.minPartitions", .integer, nil, "partitions of a batch's dataset at least, about"),
    .init("sluice.kafka.maxRecordsPerPartition", .integer, nil, "records a partition of a batch's dataset"),
    .init(
      "sluice.kafka.startingOffsets", .text, "earliest",
      "where to begin without committed offsets: earliest, latest, @MILLISECONDS, or lines-0:12,others:latest"),
    .init(
      "sluice.kafka.startingTimestampStrategy", .text, "error",
      "where no record is as young as the starting time: error, or latest"),
    .init(
      "sluice.kafka.endingOffsets", .text, "latest",
      "where a job with --available-now ends, written as startingOffsets"),
    .init(
      "sluice.kafka.offsetsFrom", .text, "checkpoint",
      "whose offsets stand where the job's checkpoint and its group differ: checkpoint, or group after a reset"),
    .init(
      "sluice.kafka.onDataLoss", .text, "fail",
      "where records are gone: fail, or go on at the earliest or latest (Spark's failOnDataLoss=false is earliest)"),
    .init("sluice.kafka.autoCommit", .boolean, "true", "commit offsets to the group after each batch"),
    .init("sluice.kafka.metadataMaxAge", .duration, "30s", "how often new partitions and topics are looked for"),
    .init(
      "sluice.kafka.isolationLevel", .text, "read_committed",
      "hide records of open and aborted transactions, or read_uncommitted"),
    .init("sluice.metrics.port", .integer, nil, "serve metrics for Prometheus on this port, at /metrics; 0 for any"),
    .init("sluice.metrics.address", .text, "127.0.0.1", "the IPv4 address to serve metrics on"),
    .init("sluice.kafka.consumer.fetch.min.bytes", .integer, "1", "bytes that a broker waits for before it answers"),
    .init("sluice.kafka.consumer.fetch.max.wait.ms", .integer, "500", "how long it waits for them"),
    .init("sluice.kafka.consumer.fetch.max.bytes", .integer, "52428800", "most bytes an answer"),
    .init("sluice.kafka.consumer.max.partition.fetch.bytes", .integer, "1048576", "most bytes an answer and partition"),
    .init("sluice.broker.data", .text, nil, "data folder of the embedded broker"),
  ]

  static let byName: [String: ConfigurationKey] = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}
