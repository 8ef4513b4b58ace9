import Groundwork

/// The settings of one topic's logs, with Kafka's names, meanings and defaults (Kafka documentation, "Topic Configs").
public struct LogConfiguration: Sendable, Equatable {
  /// Whose time a record carries; the raw values are those of `message.timestamp.type`.
  public enum TimestampType: String, Sendable, Equatable {
    /// `createTime`: the producer's; `logAppendTime`: the broker's, given when a batch is appended.
    case createTime = "CreateTime", logAppendTime = "LogAppendTime"
  }

  /// `index.interval.bytes`: how many bytes of log lie between two entries of an index.
  public var indexIntervalBytes = 4096
  /// `max.message.bytes`: the largest record batch, compressed, in bytes.
  public var messageBytesMax = 1_048_588
  /// `message.timestamp.type`.
  public var timestampType = TimestampType.createTime
  /// `retention.bytes` per partition; nil (-1): no limit.
  public var retentionBytes: Int64?
  /// `retention.ms`; nil (-1): for ever.
  public var retention: Duration? = .seconds(7 * 86_400)
  /// `segment.bytes`.
  public var segmentBytes = 1 << 30
  /// `segment.jitter.ms`: up to this much is taken off `segment.ms`, so that not all logs roll at once.
  public var segmentJitter = Duration.zero
  /// `segment.ms`.
  public var segmentAge: Duration = .seconds(7 * 86_400)

  /// Kafka's defaults.
  public init() {}
}

/// One setting of a topic: its name, how to show it and how to take it over.
public struct LogSetting: Sendable {
  /// The type that DescribeConfigs reports; values pass as text in any case. `int` is 32 bits wide, `long` 64.
  public enum Kind: Sendable { case text, list, int, long }
  /// Kafka's name, such as `retention.ms`.
  public let name: String
  /// What a value looks like.
  public let kind: Kind
  /// One sentence for whoever asks DescribeConfigs for documentation.
  public let documentation: String
  let get: @Sendable (LogConfiguration) -> String
  /// Answers why a value is refused, or nil.
  let set: @Sendable (inout LogConfiguration, String) -> String?
}

extension LogConfiguration {
  /// All settings, by name.
  public static let settings: [LogSetting] = [
    LogSetting(
      name: "cleanup.policy", kind: .list, documentation: "What happens to old segments: delete.",
      get: { _ in "delete" },
      set: { _, value in
        switch value {
        case "delete": nil
        case "compact", "compact,delete", "delete,compact":
          "compaction is not supported by this broker yet: use cleanup.policy=delete"
        default: "expected delete"
        }
      }),
    LogSetting(
      name: "compression.type", kind: .text, documentation: "Batches are kept as the producer compressed them.",
      get: { _ in "producer" },
      set: { _, value in
        value == "producer" ? nil : "this broker keeps batches as they arrive: set the codec at the producer"
      }),
    LogSetting(
      name: "index.interval.bytes", kind: .int, documentation: "Bytes of log between two index entries.",
      get: { String($0.indexIntervalBytes) },
      set: { integer($1, 0...Int64(Int32.max), into: &$0.indexIntervalBytes) }),
    LogSetting(
      name: "max.message.bytes", kind: .int, documentation: "The largest record batch, after compression.",
      get: { String($0.messageBytesMax) },
      set: { integer($1, 0...Int64(Int32.max), into: &$0.messageBytesMax) }),
    LogSetting(
      name: "message.timestamp.type", kind: .text, documentation: "CreateTime or LogAppendTime.",
      get: { $0.timestampType.rawValue },
      set: { configuration, value in
        guard let type = TimestampType(rawValue: value) else { return "expected CreateTime or LogAppendTime" }
        configuration.timestampType = type
        return nil
      }),
    LogSetting(
      name: "retention.bytes", kind: .long, documentation: "Size of a partition above which old segments go; -1: none.",
      get: { String($0.retentionBytes ?? -1) },
      set: { configuration, value in
        guard let bytes = Int64(value), bytes >= -1 else { return "expected a number of bytes, or -1 for no limit" }
        configuration.retentionBytes = bytes < 0 ? nil : bytes
        return nil
      }),
    LogSetting(
      name: "retention.ms", kind: .long, documentation: "Age above which old segments go; -1: never.",
      get: { String($0.retention?.inMilliseconds ?? -1) },
      set: { configuration, value in
        guard let milliseconds = Int64(value), milliseconds >= -1 else {
          return "expected a number of milliseconds, or -1 for no limit"
        }
        configuration.retention = milliseconds < 0 ? nil : .milliseconds(milliseconds)
        return nil
      }),
    LogSetting(
      name: "segment.bytes", kind: .int, documentation: "Size at which a new segment begins.",
      get: { String($0.segmentBytes) },
      set: { integer($1, 14...Int64(Int32.max), into: &$0.segmentBytes) }),
    LogSetting(
      name: "segment.jitter.ms", kind: .long, documentation: "The most that is taken off segment.ms.",
      get: { String($0.segmentJitter.inMilliseconds) },
      set: { duration($1, atLeast: 0, into: &$0.segmentJitter) }),
    LogSetting(
      name: "segment.ms", kind: .long, documentation: "Age at which a new segment begins.",
      get: { String($0.segmentAge.inMilliseconds) },
      set: { duration($1, atLeast: 1, into: &$0.segmentAge) }),
  ]

  /// These settings changed by `overrides`.
  ///
  /// - Throws: `.invalidSetting` with the name, the value and the reason, for the first refused one in order of names.
  public func applying(_ overrides: [String: String]) throws(LogError) -> LogConfiguration {
    var result = self
    for (name, value) in overrides.sorted(by: { $0.key < $1.key }) {
      guard let setting = LogConfiguration.settings.first(where: { $0.name == name }) else {
        throw LogError(.invalidSetting(name: name, value: value, reason: "this broker has no such topic setting"))
      }
      if let reason = setting.set(&result, value) {
        throw LogError(.invalidSetting(name: name, value: value, reason: reason))
      }
    }
    return result
  }

  /// The value of a setting as text; nil for a name that does not exist.
  public func value(of name: String) -> String? {
    LogConfiguration.settings.first { $0.name == name }?.get(self)
  }

  private static func integer(_ text: String, _ range: ClosedRange<Int64>, into field: inout Int) -> String? {
    guard let value = Int64(text), range.contains(value) else {
      return "expected a whole number from \(range.lowerBound) to \(range.upperBound)"
    }
    field = Int(value)
    return nil
  }

  private static func duration(_ text: String, atLeast minimum: Int64, into field: inout Duration) -> String? {
    guard let value = Int64(text), value >= minimum else { return "expected at least \(minimum) milliseconds" }
    field = .milliseconds(value)
    return nil
  }
}
