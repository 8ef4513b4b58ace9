import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming

// A recorded plan is planned again exactly: its ranges are fetched, and the stream goes on behind them.
extension KafkaSource {
  func replay(
    _ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable (Result<SourcePlan, any Error>) -> Void
  ) {
    let details = PlanDetails(plan.details)
    for (topic, id) in details.topicIDs.sorted(by: { $0.key < $1.key }) {
      guard let present = topicIDs[topic], present.description != id,
        let range = plan.ranges.first(where: { $0.topic == topic && !$0.isEmpty })
      else { continue }
      return then(.failure(RangeGone(range: range)))
    }
    let wanted = plan.ranges.indices.filter { !plan.ranges[$0].isEmpty }
    let progress = ReplayProgress(plan, left: wanted.count)
    let driver = connection.driverLoop
    let end: @Sendable () -> Void = { [self] in
      guard let result = progress.finish() else { return }
      guard case .success(let found) = result else { return then(result) }
      plans.append((batch.number, found))
      goOnBehind(found, details) { then(result) }
    }
    if wanted.isEmpty { return end() }
    for index in wanted {
      let range = plan.ranges[index]
      RangeFetch(
        range: range, number: batch.number, isolation: settings.isolation, topicID: topicIDs[range.topic] ?? .zero,
        client: connection.client, fetched: fetched, loss: loss(in: batch)
      ).fetchReadable { result in
        driver.post { [self] in
          switch result {
          case .success(let found):
            weigh(range, found.bytes)
            compare(range, found.content, with: index < plan.contents.count ? plan.contents[index] : nil, of: batch)
            progress.add(found, at: index)
          case .failure(let error): progress.fail(error)
          }
          end()
        }
      }
    }
  }

  /// Says where a range no longer holds what it held when its batch was planned: compaction, or another log of the name.
  private func compare(
    _ range: OffsetRange, _ found: RangeContent, with planned: RangeContent?, of batch: BatchIdentity
  ) {
    guard let planned, planned != found else { return }
    environment?.log(
      "\(range.topicPartition), offsets \(range.from) to \(range.until), is not what it was when batch \(batch.number) was "
        + "planned: \(planned.records) records then, \(found.records) now"
        + (planned.records == found.records ? ", of other content" : "")
        + "; the topic was compacted or written anew, and the batch runs again over what is there")
  }

  private func goOnBehind(_ plan: SourcePlan, _ details: PlanDetails, then: @escaping @Sendable () -> Void) {
    var moved: [TopicPartition] = []
    for range in plan.ranges {
      let partition = range.topicPartition
      // A partition that came in the batch: it begins where the batch began with it.
      if positions[partition] == nil { positions[partition] = Position(next: range.from, committed: range.from) }
      guard positions[partition]!.next != range.until else { continue }
      positions[partition]!.next = range.until
      positions[partition]!.filter = AbortedFilter()
      positions[partition]!.leaderEpoch = details.epochs[partition] ?? positions[partition]!.leaderEpoch
      // Said already, in the plan that is run again.
      positions[partition]!.gap = nil
      if !moved.contains(partition) { moved.append(partition) }
    }
    partitions = positions.keys.sorted()
    seek(moved)
    let driver = connection.driverLoop
    connection.client.loop.post { driver.post { then() } }
  }
}

/// Ranges of a plan that are being fetched.
///
/// Sendable: touched on the driver's loop alone.
private final class ReplayProgress: @unchecked Sendable {
  private var plan: SourcePlan
  private var left: Int
  private var failure: (any Error)?
  init(_ plan: SourcePlan, left: Int) {
    self.plan = plan
    self.left = left
    self.plan.records = 0
    self.plan.bytes = 0
    self.plan.contents = plan.ranges.map { _ in RangeContent() }
  }
  func add(_ found: RangeFetch.Found, at index: Int) {
    plan.contents[index] = found.content
    plan.records += found.content.records
    plan.bytes += found.bytes
    left -= 1
  }
  func fail(_ error: any Error) {
    failure = failure ?? error
    left -= 1
  }
  /// nil while ranges are under way.
  func finish() -> Result<SourcePlan, any Error>? {
    guard left <= 0 else { return nil }
    return failure.map { .failure($0) } ?? .success(plan)
  }
}
