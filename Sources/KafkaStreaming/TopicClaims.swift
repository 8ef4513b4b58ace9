import Groundwork
import Streaming

/// The partitions that streams of a job read, each by one stream.
///
/// Two streams of one partition would commit its offset for the same group, each over the other's: after a restart the
/// slower one would miss records. Confined to the thread that defines the job, then to the driver's loop.
final class TopicClaims: @unchecked Sendable {
  // Sendable: defined by one thread before the start; from then on only the driver's loop touches it.
  private var topics: Set<String> = []
  private var owners: [TopicPartition: ObjectIdentifier] = [:]

  /// Takes what a definition names.
  func claim(_ subscription: TopicSubscription) throws(StreamingError) {
    switch subscription {
    case .topics(let names):
      for name in names {
        if topics.contains(name) || named.contains(where: { $0.topic == name }) {
          throw TopicClaims.twice("topic \(name)")
        }
      }
      topics.formUnion(names)
    case .partitions(let partitions):
      for partition in partitions {
        if topics.contains(partition.topic) || named.contains(partition) {
          throw TopicClaims.twice("partition \(partition)")
        }
      }
      named.formUnion(partitions)
    case .pattern: break
    }
  }

  private var named: Set<TopicPartition> = []

  /// Takes what was found for a stream at its start or later: patterns may meet.
  func claim(_ partitions: [TopicPartition], for owner: ObjectIdentifier) throws(StreamingError) {
    for partition in partitions {
      if let other = owners[partition], other != owner { throw TopicClaims.twice("topic \(partition.topic)") }
      owners[partition] = owner
    }
  }

  private static func twice(_ what: String) -> StreamingError {
    .invalidDefinition("\(what) is read by two streams of this job: define one stream and use it for both outputs")
  }
}
