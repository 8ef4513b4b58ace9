import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming

/// Where a stream begins in partitions for which the job's consumer group has committed nothing.
public enum StartingOffsets: String, Sendable {
  /// At the first record that is still there.
  case earliest
  /// At the end: with what arrives from the start of the job on.
  case latest
}

/// The topics that streams of a job read.
///
/// Two streams of one topic would commit its offsets for the same group, each over the other's: after a restart the
/// slower one would miss records.
private final class TopicsRead {
  private var names: Set<String> = []

  func add(_ topics: [String]) throws(StreamingError) {
    for (index, topic) in topics.enumerated() {
      if topics[..<index].contains(topic) { throw .invalidDefinition("topicStream: topic \(topic) is named twice") }
      if names.contains(topic) {
        throw .invalidDefinition(
          "topic \(topic) is read by two streams of this job: define one stream and use it for both outputs")
      }
    }
    names.formUnion(topics)
  }
}

extension StreamingContext {
  /// A stream of the records of topics: each batch holds, of every partition, the range of offsets that had arrived when
  /// its interval ended. One dataset partition a topic partition.
  ///
  /// The job begins where its consumer group, which carries the job's name, has committed, and commits after each batch's
  /// output. A definition that cannot be is reported by `start`; a topic belongs to one stream of a job.
  /// - Parameter startingOffsets: where to begin without committed offsets; nil takes the setting
  ///   `sluice.kafka.startingOffsets`, else earliest.
  public func topicStream(
    _ topics: [String], startingOffsets: StartingOffsets? = nil
  ) -> DStream<ConsumerRecord> {
    do {
      if topics.isEmpty { throw StreamingError.invalidDefinition("topicStream: no topic is named") }
      let start =
        try startingOffsets ?? setting("sluice.kafka.startingOffsets").map { text in
          guard let offsets = StartingOffsets(rawValue: text) else {
            throw StreamingError.invalidDefinition(
              "sluice.kafka.startingOffsets: `\(text)` is neither earliest nor latest")
          }
          return offsets
        } ?? .earliest
      let limits = try KafkaSource.Limits(setting: setting)
      try attachment(TopicsRead.self) { TopicsRead() }.add(topics)
      let source = KafkaSource(
        try kafka(), topics: topics, group: environment.jobName, start: start, limits: limits)
      return inputStream(source, label: "topics") { [sluice] batch, plan in
        source.dataset(plan, of: batch.number, sluice)
      }
    } catch {
      note((error as? StreamingError) ?? .invalidDefinition("\(error)"))
      return inputStream(QueueSource<ConsumerRecord>(), label: "topics") { [sluice] _, _ in sluice.empty() }
    }
  }

  /// A stream of the records of one topic.
  public func topicStream(_ topic: String, startingOffsets: StartingOffsets? = nil) -> DStream<ConsumerRecord> {
    topicStream([topic], startingOffsets: startingOffsets)
  }

  /// Makes a topic before the job begins, where it does not exist yet.
  /// - Parameter settings: Kafka's topic settings, such as `retention.ms`.
  public func createTopic(_ name: String, partitions: Int, settings: [String: String] = [:]) {
    do {
      let connection = try kafka()
      beforeStart { then in
        connection.createTopic(name, partitions: Int32(clamping: partitions), settings: settings, then: then)
      }
    } catch {
      note((error as? StreamingError) ?? .invalidDefinition("\(error)"))
    }
  }
}
