import Datasets
import Groundwork
import Synchronization

/// Where a streaming context is in its life; it goes from one to the next and never back.
public enum StreamingContextState: UInt8, Sendable, AtomicRepresentable {
  /// Being defined: nothing runs.
  case initialized
  /// Started, until the job has ended.
  case active
  /// Ended, or stopped before it was started; a restart needs a new context.
  case stopped
}

extension StreamingContext {
  /// Where the output operations write to, in the order of definition.
  var sinks: [any Sink] {
    outputs.compactMap { output in
      if case .sink(let sink, _) = output.kind { sink } else { nil }
    }
  }

  /// Has every stream keep the datasets of its last batches for at least so long, so that `DStream.slice` finds them.
  /// What sources need to compute them again is kept as well.
  /// - Parameter duration: counts back from the time of the newest batch; the longest that was asked for holds.
  public func remember(_ duration: Duration) {
    if state != .initialized { note(.alreadyStarted) }
    if duration < batchInterval {
      note(
        .invalidDefinition(
          "remember: \(duration.text) is shorter than the batch interval of \(batchInterval.text), so nothing would be "
            + "kept"))
    }
    rememberDuration = max(rememberDuration, duration)
  }

  /// A stream of what `body` makes of the datasets that several streams have in a batch. `body` runs on the driver, once
  /// a batch; the time is the batch's, or the end of the window where the streams are ones of windows.
  /// - Parameters:
  ///   - streams: at least one; they must have the same slide.
  ///   - body: gets a dataset for each stream, in their order.
  public func transform<Element, Output>(
    _ streams: [DStream<Element>],
    _ body: @escaping @Sendable (_ datasets: [RDD<Element>], _ time: Timestamp) -> RDD<Output>
  ) -> DStream<Output> {
    checkNotEmpty(streams, "transform")
    return DStream<Output>(self, label: "transform", parents: streams) { frame in
      let datasets = streams.map { $0.dataset(frame) }
      let present = datasets.compactMap { $0 }
      guard let first = streams.first, present.count == streams.count else { return nil }
      return body(present, first.time(frame))
    }
  }

  func checkNotEmpty(_ streams: [AnyDStream], _ label: String) {
    if streams.isEmpty { note(.invalidDefinition("\(label): no streams were given; give one or more")) }
  }

  /// What can only be told when everything is defined.
  func checkGraph() throws(StreamingError) {
    if outputs.isEmpty { throw .noOutputOperation }
    var taken: Set<String> = []
    for name in operators.map(\.name) + outputs.map(\.name) where !taken.insert(name).inserted {
      throw .invalidDefinition(
        "two parts of the job are named \(name), one of them by its kind and place: choose another name in named(_:)")
    }
    _ = try concurrentBatches()
  }

  /// How many batches are computed at once, by the setting `sluice.streaming.concurrentJobs`.
  /// - Throws: where the setting is no number, or more than 1 and something of the job needs its batches one by one.
  func concurrentBatches() throws(StreamingError) -> Int {
    let key = "sluice.streaming.concurrentJobs"
    let text = setting(key) ?? "1"
    guard let count = Int(text), count > 0 else {
      throw .invalidDefinition("\(key): `\(text)` is not known; give the number of batches that run at once, 1 or more")
    }
    guard count > 1, let reason = whyBatchesNeedOrder else { return count }
    throw .invalidDefinition(
      "\(key) is \(count), but \(reason): its batches run one after the other; leave it at 1, and let more tasks run at "
        + "once with sluice.master local[N]")
  }

  /// Says whether the job goes on after a batch that has failed: then state that the next batch goes by can be taken back.
  func expectFailures(_ goesOn: Bool) {
    for case let state as StateCoordinator in participants { state.isRevocable = goesOn }
  }

  /// What of the job needs its batches one after the other; nil where nothing does.
  private var whyBatchesNeedOrder: String? {
    if let stateful = streams.first(where: \.hasState) { return "'\(stateful.name)' keeps state from batch to batch" }
    for case let keeper as WatermarkKeeper in participants {
      return "'\(keeper.streamName)' keeps a watermark from batch to batch"
    }
    if let stream = streams.first(where: { $0.windowCount > 0 }) { return "'\(stream.name)' is read by windows" }
    for participant in participants where !(participant is RateController) {
      return "\(participant.key) is kept from batch to batch"
    }
    let decides = setting("sluice.streaming.guarantee") != "at-least-once"
    for output in outputs {
      guard case .sink(let sink, _) = output.kind else { continue }
      if sink.keepsPrepared || sink.guarantee.level == .exactlyOnce {
        return "output '\(output.name)' to \(sink.name) is exactly-once"
      }
      if decides, sink.decider != nil {
        return
          "output '\(output.name)' to \(sink.name) is exactly-once without sluice.streaming.guarantee=at-least-once"
      }
    }
    return nil
  }
}
