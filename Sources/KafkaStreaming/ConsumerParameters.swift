import Groundwork
import KafkaClients
import Streaming

/// Kafka's own consumer settings, by their names, as far as a stream of topics can have them.
enum ConsumerParameters {
  /// What settings of a stream begin with: `sluice.kafka.consumer.fetch.min.bytes`.
  static let prefix = "sluice.kafka.consumer."

  /// Those that are taken.
  static let known = [
    "fetch.max.bytes", "fetch.max.wait.ms", "fetch.min.bytes", "isolation.level", "max.partition.fetch.bytes",
  ]

  /// Those that a stream cannot have, with what to do instead.
  static let refused: [String: String] = [
    "auto.offset.reset":
      "the stream begins where startingOffsets says; what happens when offsets are gone is sluice.kafka.onDataLoss",
    "bootstrap.servers": "name the brokers with --bootstrap-server, for the whole job",
    "client.id": "it is the job's name: --name",
    "enable.auto.commit":
      "offsets are committed after each batch's output; sluice.kafka.autoCommit=false leaves it to you",
    "auto.commit.interval.ms": "offsets are committed after each batch's output",
    "group.id": "the group carries the job's name: --name",
    "group.instance.id": "a job is no member of its group: it assigns partitions itself",
    "heartbeat.interval.ms": "a job is no member of its group, so a long batch cannot cost it its partitions",
    "session.timeout.ms": "a job is no member of its group, so a long batch cannot cost it its partitions",
    "max.poll.interval.ms": "a job is no member of its group, so a long batch cannot cost it its partitions",
    "interceptor.classes": "there are no interceptors: use map and filter",
    "key.deserializer": "keys are Bytes: convert them in map or mapRecords",
    "value.deserializer": "values are Bytes: convert them in map or mapRecords",
    "max.poll.records": "there are no polls: batches are limited by sluice.kafka.maxRatePerPartition",
    "partition.assignment.strategy": "a job reads all partitions itself",
  ]

  /// Puts the parameters into a fetcher's configuration.
  /// - Throws: for one that is refused, unknown, or has a value that is none.
  static func apply(
    _ parameters: [String: String], to fetching: inout FetcherConfiguration
  ) throws(StreamingError) {
    func number(_ name: String, _ text: String, _ range: ClosedRange<Int>) throws(StreamingError) -> Int {
      guard let value = Int(text), range.contains(value) else {
        throw .invalidDefinition(
          "\(name): `\(text)` is not a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }
    for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
      switch name {
      case "fetch.min.bytes": fetching.bytesMin = try number(name, value, 0...Int(Int32.max))
      case "fetch.max.bytes": fetching.bytesMax = try number(name, value, 1...Int(Int32.max))
      case "max.partition.fetch.bytes": fetching.partitionBytesMax = try number(name, value, 1...Int(Int32.max))
      case "fetch.max.wait.ms": fetching.waitMax = .milliseconds(try number(name, value, 0...Int(Int32.max)))
      case "isolation.level":
        guard let isolation = isolation(value) else {
          throw .invalidDefinition("\(name): `\(value)` is neither read_committed nor read_uncommitted")
        }
        fetching.isolation = isolation
      default:
        if let instead = refused[name] {
          throw .invalidDefinition("the consumer parameter \(name) cannot be set: \(instead)")
        }
        throw .invalidDefinition(
          "the consumer parameter \(name) is not known; there are \(known.joined(separator: ", "))")
      }
    }
  }

  static func isolation(_ text: String) -> Offsets.Isolation? {
    switch text {
    case "read_committed": .readCommitted
    case "read_uncommitted": .readUncommitted
    default: nil
    }
  }
}
