import Groundwork
import Streaming

/// Which partitions a stream reads (Spark's ConsumerStrategies).
public enum TopicSubscription: Sendable, Equatable {
  /// All partitions of these topics; ones that are added while the job runs join in.
  case topics([String])
  /// All partitions of the topics whose whole name matches this regular expression; topics that are made while the job
  /// runs join in. Kafka's internal topics are never among them.
  case pattern(String)
  /// Exactly these.
  case partitions([TopicPartition])

  /// For people and logs.
  var name: String {
    switch self {
    case .topics(let topics): "topics \(topics.joined(separator: ","))"
    case .pattern(let pattern): "topics /\(pattern)/"
    case .partitions(let partitions): "partitions \(partitions.sorted().map(\.description).joined(separator: ","))"
    }
  }

  /// The topics that are known by name; none for a pattern.
  var topics: [String] {
    switch self {
    case .topics(let topics): topics
    case .pattern: []
    case .partitions(let partitions): Set(partitions.map(\.topic)).sorted()
    }
  }

  /// - Throws: what is wrong with it, and what to write instead.
  func check() throws(StreamingError) {
    switch self {
    case .topics(let topics):
      if topics.isEmpty { throw .invalidDefinition("topicStream: no topic is named") }
      for (index, topic) in topics.enumerated() where topics[..<index].contains(topic) {
        throw .invalidDefinition("topicStream: topic \(topic) is named twice")
      }
    case .pattern(let pattern):
      do {
        _ = try Regex(pattern)
      } catch {
        throw .invalidDefinition("topicStream: `\(pattern)` is no regular expression: \(error)")
      }
    case .partitions(let partitions):
      if partitions.isEmpty { throw .invalidDefinition("topicStream: no partition is named") }
      for (index, partition) in partitions.enumerated() where partitions[..<index].contains(partition) {
        throw .invalidDefinition("topicStream: partition \(partition) is named twice")
      }
    }
  }

  /// The names that a pattern takes, sorted.
  /// - Complexity: compiles the expression; it is asked for now and then.
  static func matches(_ pattern: String, _ names: [String]) -> [String] {
    guard let expression = try? Regex(pattern) else { return [] }
    return names.filter { ((try? expression.wholeMatch(in: $0)) ?? nil) != nil }.sorted()
  }
}
