import Datasets
import Groundwork
import JobScheduling
import SystemInterfaces

/// Where a running job stands at one moment, beside what its batches say of themselves (`BatchInfo`): what a page of
/// metrics shows of the engine's parts.
public struct JobFigures: Sendable {
  /// When they were taken.
  public var time: Instant
  /// The wall clock at that moment.
  public var wallTime: Timestamp
  /// What the scheduler did and does.
  public var scheduler: SchedulerMetrics
  /// What is persisted, and how often it was found.
  public var storage: StorageMetrics
  /// The most bytes that the store keeps in memory.
  public var storageCapacity: Int
  /// How large each operator's state is, in the order of definition.
  public var states: [StateSize] = []
  /// Bytes of the log of changes since the last snapshot; nil where the job keeps no state on disk.
  public var stateLogBytes: Int64?
  /// Bytes of the last snapshot; nil where the job keeps no state on disk.
  public var stateSnapshotBytes: Int64?
  /// By the stream's name, in the order of definition; nil before the first record.
  public var watermarks: [(stream: String, watermark: Timestamp?)] = []

  /// Figures of a job that has no state and no event time.
  public init(
    time: Instant, wallTime: Timestamp, scheduler: SchedulerMetrics, storage: StorageMetrics, storageCapacity: Int
  ) {
    self.time = time
    self.wallTime = wallTime
    self.scheduler = scheduler
    self.storage = storage
    self.storageCapacity = storageCapacity
  }
}

/// How large the state of one operator is.
public struct StateSize: Sendable, Equatable {
  /// The operator's name.
  public var operatorName: String
  /// Keys after the last batch.
  public var keys: Int
  /// State partitions.
  public var partitions: Int
  /// Bytes that its tables take in memory, without what keys and values refer to.
  public var tableBytes: Int

  /// - Parameters:
  ///   - operatorName: the operator's name.
  ///   - keys: keys after the last batch.
  ///   - partitions: state partitions.
  ///   - tableBytes: bytes of the tables, without what keys and values refer to.
  public init(operatorName: String, keys: Int, partitions: Int, tableBytes: Int) {
    self.operatorName = operatorName
    self.keys = keys
    self.partitions = partitions
    self.tableBytes = tableBytes
  }
}

extension StreamingContext {
  /// Where the job stands now. On the driver's loop only. O(jobs and stages that run + state partitions).
  public var figures: JobFigures {
    let loop = environment.loop
    var figures = JobFigures(
      time: loop.now, wallTime: loop.wallTime, scheduler: environment.scheduler.metrics,
      storage: sluice.blocks.metrics, storageCapacity: sluice.blocks.capacity)
    for participant in participants {
      if let state = participant as? StateCoordinator {
        figures.states = state.sizes
        figures.stateLogBytes = state.store?.logBytes
        figures.stateSnapshotBytes = state.store?.snapshotBytes
      } else if let keeper = participant as? WatermarkKeeper {
        figures.watermarks.append(
          (keeper.streamName, keeper.latestWatermark.map { Timestamp(milliseconds: $0) }))
      }
    }
    return figures
  }
}
