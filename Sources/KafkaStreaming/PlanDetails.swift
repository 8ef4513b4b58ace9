import Groundwork
import KafkaProtocol
import Streaming

/// What a plan of topics says beside its ranges, as lines of its `details`:
///
/// `topic in qvPsJ1sZQ7KtY1V0xMKwcA`: the id of a topic, where the broker gives one ·
/// `epoch in-0 3`: the leader epoch of the newest record read of a partition, where it is not 0 ·
/// `gap partition=in-0 from=10 until=40 reason=retention`: what the batch did not get.
struct PlanDetails: Equatable {
  /// As Kafka's tools print them.
  var topicIDs: [String: String] = [:]
  var epochs: [TopicPartition: Int32] = [:]
  var gaps: [Gap] = []

  init() {}

  /// Lines that say something else are passed over.
  init(_ lines: [String]) {
    for line in lines {
      let words = line.split(separator: " ", maxSplits: 1)
      guard words.count == 2 else { continue }
      switch words[0] {
      case "topic":
        let parts = words[1].split(separator: " ")
        if parts.count == 2 { topicIDs[String(parts[0])] = String(parts[1]) }
      case "epoch":
        let parts = words[1].split(separator: " ")
        if parts.count == 2, let partition = TopicPartition(text: parts[0]), let epoch = Int32(parts[1]) {
          epochs[partition] = epoch
        }
      case "gap": if let gap = Gap(text: String(words[1])) { gaps.append(gap) }
      default: break
      }
    }
  }

  var lines: [String] {
    topicIDs.sorted { $0.key < $1.key }.map { "topic \($0.key) \($0.value)" }
      + epochs.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map { "epoch \($0.key) \($0.value)" }
      + gaps.map { "gap \($0.text)" }
  }
}

/// Where the last committed batch of a job ended, read back from its plan.
struct RestoredPositions: Equatable {
  var next: [TopicPartition: Offset] = [:]
  var details: PlanDetails

  init(_ plan: SourcePlan) {
    for range in plan.ranges { next[range.topicPartition] = range.until }
    details = PlanDetails(plan.details)
  }
}
