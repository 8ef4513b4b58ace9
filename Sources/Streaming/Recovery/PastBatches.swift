import Groundwork
import SystemInterfaces

// What windows in memory need of an earlier run: plain windows, which keep offset ranges and not elements, and reduced ones
// whose keys or values have no encoding. The commit log has the ranges of past batches; from them their datasets are
// made again, which computes nothing until a window is due.

extension StreamingContext {
  /// How far windows in memory reach back; zero where there are none.
  var pastNeeded: Duration { streams.map(\.pastNeeded).max() ?? .zero }

  /// Gives windows in memory the batches that an earlier run has decided, and says of the others that they begin anew.
  /// Called when the sources are ready, before the first batch.
  func recall(_ past: [BatchRecord]) {
    guard let last = past.last?.batch else { return }
    var recalling: [AnyDStream] = []
    for stream in streams where stream.pastNeeded > .zero {
      let what = "the windows of '\(stream.name)'"
      if let reason = whyNotRecalled(stream) {
        environment.log("\(what) begin anew: what came before the restart is not in them, because \(reason)")
        continue
      }
      let reach = last.time - stream.pastNeeded
      if let first = past.first, first.batch.number > 1, first.batch.time > reach {
        environment.log(
          "\(what) reach back further than the commit log, which begins with batch \(first.batch.number): what came "
            + "before is not in them")
      }
      recalling.append(stream)
    }
    guard !recalling.isEmpty else { return }
    let names = sourceNames
    for record in past where record.outcome == .committed {
      let plans = names.map { name in record.sources.first { $0.name == name }?.plan ?? SourcePlan() }
      let frame = BatchFrame(identity: record.batch, previousTime: record.previousTime, plans: plans)
      for stream in recalling where record.batch.time > last.time - stream.pastNeeded { stream.recall(frame) }
    }
  }

  /// Why the datasets of an earlier run's batches cannot be made again; nil where they can.
  private func whyNotRecalled(_ stream: AnyDStream) -> String? {
    var pending = stream.parents
    var seen: Set<Int> = []
    while let next = pending.popLast() {
      guard seen.insert(next.operatorIndex).inserted else { continue }
      if next.hasState { return "they are made from the state of '\(next.name)', which has gone on" }
      if let source = sourceOfStream[next.operatorIndex].map({ sources[$0] }), !source.recallsPastBatches {
        return "\(source.name) cannot be read again"
      }
      pending += next.parents
    }
    return nil
  }
}

extension Checkpoint {
  /// The decided batches of the last `duration`, oldest first, as far as the commit log has them.
  /// - Throws: where the log cannot be read.
  func past(_ duration: Duration) throws(StreamingError) -> [BatchRecord] {
    guard duration > .zero, let last else { return [] }
    let limit = last.batch.time - duration
    return try BatchJournal.records(in: "\(directory)/commits", files).filter { $0.batch.time > limit }
  }
}
