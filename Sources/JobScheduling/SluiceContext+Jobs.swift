import Datasets

/// What a job author asks of the scheduler by way of the context. Nothing happens where the context runs its jobs by
/// another runner than the engine's.
extension SluiceContext {
  private var scheduler: DAGScheduler? { runner as? DAGScheduler }

  /// Ends a job without results; its running tasks find out at their next chunk.
  /// - Parameter reason: for the job's error.
  public func cancelJob(_ job: JobID, reason: String = "cancelJob was called") {
    scheduler?.cancel(job, reason: reason)
  }

  /// Ends every job of a group that runs now; see `setJobGroup`.
  public func cancelJobGroup(_ group: String, reason: String = "cancelJobGroup was called") {
    scheduler?.cancelJobGroup(group, reason: reason)
  }

  /// Ends every job that needs the stage.
  public func cancelStage(_ stage: StageID, reason: String = "cancelStage was called") {
    scheduler?.cancelStage(stage, reason: reason)
  }

  /// Ends every job that runs now.
  public func cancelAllJobs(reason: String = "cancelAllJobs was called") { scheduler?.cancelAllJobs(reason: reason) }

  /// The listener hears of what happens from now on, on a thread of its queue; see `SchedulerListener`.
  /// - Parameter queue: listeners of one queue wait for each other, those of different queues do not.
  public func addSchedulerListener(_ listener: any SchedulerListener, queue: String = "shared") {
    scheduler?.addListener(listener, queue: queue)
  }

  /// The listener hears of nothing that happens from now on.
  public func removeSchedulerListener(_ listener: any SchedulerListener) { scheduler?.removeListener(listener) }
}
