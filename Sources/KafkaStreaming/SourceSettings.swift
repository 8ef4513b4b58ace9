import Groundwork
import KafkaClients
import Streaming

/// How a stream of topics reads: what its definition says, and for the rest the job's settings.
struct SourceSettings: Sendable {
  /// Where to begin without committed offsets.
  var start = OffsetSelection.earliest
  /// Where to end that works through what is there.
  var end = OffsetSelection.latest
  /// Where records are gone.
  var onDataLoss = DataLossPolicy.fail
  /// Where log and group do not agree.
  var authority = OffsetAuthority.log
  /// Whether the job's log outlives a power loss.
  var isLogDurable = true
  /// Whether offsets are committed after each batch's output.
  var commitsOffsets = true
  /// How the fetcher reads, isolation included.
  var fetching = FetcherConfiguration()
  /// How much a batch may take.
  var limits = PlanLimits()
  /// How often partitions and topics are looked for that were not there before.
  var discoveryInterval: Duration = .seconds(30)
  /// After how long the offset of a partition without news is committed again: `offsets.retention.minutes` takes those
  /// of a group without members after seven days, or whatever the cluster's owner has set.
  var recommitInterval: Duration = .seconds(3600)
  /// Bytes of batches that are kept for retries and windows.
  var fetchedBytesMax = 512 << 20

  var isolation: Offsets.Isolation { fetching.isolation }

  /// What a definition may say; nil where the setting stands.
  struct Definition: Sendable {
    var start: OffsetSelection?
    var end: OffsetSelection?
    var onDataLoss: DataLossPolicy?
    var parameters: [String: String] = [:]
  }

  /// All at their defaults.
  init() {}

  /// - Parameter settings: the job's, by full name.
  /// - Throws: for a setting that is none, or a consumer parameter that a stream cannot have.
  init(_ definition: Definition = Definition(), settings: [String: String]) throws {
    func text(_ name: String) -> String? { settings["sluice.kafka.\(name)"] }
    func complaint(_ name: String, _ text: String, _ what: String) -> StreamingError {
      .invalidDefinition("sluice.kafka.\(name): `\(text)` \(what)")
    }
    func number(_ name: String, _ unit: String) throws(StreamingError) -> Int? {
      guard let text = text(name) else { return nil }
      guard let value = Int(text), value > 0 else {
        throw complaint(name, text, "is not a number of \(unit), 1 or more")
      }
      return value
    }
    func duration(_ name: String) throws(StreamingError) -> Duration? {
      guard let text = text(name) else { return nil }
      guard let value = Duration(text: text), value > .zero else {
        throw complaint(name, text, "is not a duration; write 500ms, 30s or 15m")
      }
      return value
    }
    func choice<Value: RawRepresentable>(
      _ name: String, _ type: Value.Type, _ what: String
    ) throws(StreamingError) -> Value? where Value.RawValue == String {
      guard let text = text(name) else { return nil }
      guard let value = Value(rawValue: text) else { throw complaint(name, text, what) }
      return value
    }
    let whenNone =
      try choice("startingTimestampStrategy", OffsetSelection.WhenNone.self, "is neither error nor latest") ?? .error
    func selection(_ name: String) throws(StreamingError) -> OffsetSelection? {
      guard let text = text(name) else { return nil }
      guard let value = OffsetSelection(text: text, whenNone: whenNone) else {
        throw complaint(
          name, text, "is neither earliest nor latest, nor @MILLISECONDS, nor places such as lines-0:12,others:latest")
      }
      return value
    }
    start = try definition.start ?? selection("startingOffsets") ?? .earliest
    end = try definition.end ?? selection("endingOffsets") ?? .latest
    if end.others == .earliest || end.partitions.values.contains(.earliest) {
      throw StreamingError.invalidDefinition(
        "endingOffsets: a stream cannot end at the earliest offset: write latest, offsets or times")
    }
    onDataLoss =
      try definition.onDataLoss ?? choice("onDataLoss", DataLossPolicy.self, "is not fail, earliest or latest") ?? .fail
    // As the driver chooses it.
    let isRepeatable = settings["sluice.streaming.guarantee"] == "at-least-once"
    isLogDurable = settings["sluice.streaming.checkpoint.sync"] ?? (isRepeatable ? "none" : "commits") != "none"
    if let text = text("offsetsFrom") {
      guard let found = OffsetAuthority(text: text) else {
        throw complaint("offsetsFrom", text, "is neither checkpoint nor group")
      }
      authority = found
    }
    if let text = text("autoCommit") {
      guard text == "true" || text == "false" else { throw complaint("autoCommit", text, "is neither true nor false") }
      commitsOffsets = text == "true"
    }
    if let text = text("isolationLevel") {
      guard let isolation = ConsumerParameters.isolation(text) else {
        throw complaint("isolationLevel", text, "is neither read_committed nor read_uncommitted")
      }
      fetching.isolation = isolation
    }
    limits.ratePerPartitionMax = try number("maxRatePerPartition", "records a second")
    limits.ratePerPartitionMin = try number("minRatePerPartition", "records a second") ?? 1
    limits.recordsMax = try number("maxOffsetsPerTrigger", "records")
    limits.recordsMin = try number("minOffsetsPerTrigger", "records")
    limits.delayMax = try duration("maxTriggerDelay") ?? limits.delayMax
    limits.partitionsMin = try number("minPartitions", "partitions")
    limits.recordsPerPartitionMax = try number("maxRecordsPerPartition", "records")
    discoveryInterval = try duration("metadataMaxAge") ?? discoveryInterval
    var parameters: [String: String] = [:]
    for (name, value) in settings where name.hasPrefix(ConsumerParameters.prefix) {
      parameters[String(name.dropFirst(ConsumerParameters.prefix.count))] = value
    }
    parameters.merge(definition.parameters) { _, defined in defined }
    try ConsumerParameters.apply(parameters, to: &fetching)
  }
}
