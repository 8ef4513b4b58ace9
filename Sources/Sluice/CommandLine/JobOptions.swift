/// The options every job understands beside its own.
public enum JobOptions {
  /// The options; `--conf` and `--properties-file` carry any setting, each of the others stands for the one in its
  /// `setting`.
  public static let standard: [OptionSpec] = [
    .value(
      "bootstrap-server", "HOST:PORT",
      "brokers to begin with, with commas between several; without it the embedded broker",
      short: "b", aliases: ["bootstrap", "broker-list"], format: .addresses, setting: "sluice.kafka.bootstrapServers"),
    .value(
      "master", "local[N]", "executor threads: local[2], or local[*] for one a core",
      setting: "sluice.master"),
    .value(
      "batch-interval", "TIME", "time between batches", format: .duration, setting: "sluice.streaming.batchInterval"),
    .value(
      "checkpoint", "DIR",
      "folder for what a restart needs, or none (default: $XDG_STATE_HOME/sluice/checkpoints/NAME)",
      aliases: ["checkpoint-dir"],
      setting: "sluice.streaming.checkpoint"),
    .flag(
      "available-now", "work through what the topics hold at start, in batches, then stop",
      setting: "sluice.streaming.availableNow"),
    .flag(
      "check-determinism", "compute every 100th batch twice, and say where it does not come to the same",
      setting: "sluice.streaming.checkDeterminism"),
    .value(
      "offsets-from", "WHERE",
      "where to go on when the job's checkpoint and its consumer group differ: checkpoint, or group after a reset",
      format: .choice(["checkpoint", "group"]), setting: "sluice.kafka.offsetsFrom"),
    .value("name", "NAME", "the job's name: its consumer group, its lock, its checkpoint", setting: "sluice.app.name"),
    .value(
      "data", "DIR", "data folder of the embedded broker (default: $XDG_STATE_HOME/sluice/broker)",
      setting: "sluice.broker.data"),
    .repeated("conf", "KEY=VALUE", "a setting, such as sluice.kafka.maxRatePerPartition=1000", format: .keyValue),
    .value("properties-file", "FILE", "settings, one a line, as in Spark's and Java's properties files"),
  ]

  /// The names of `standard`.
  package static let names: [String] = standard.map(\.name)
}
