import Groundwork
import Journals
import SystemInterfaces

/// The log of one topic partition: record batches as producers sent them, in segments, in Kafka's on-disk form; with
/// indexes by offset and by time, retention, producer state, and recovery.
///
/// Batches are appended after a look at their header and checksum; only the base offset and the leader epoch are
/// written anew (and the timestamps, where the log sets them). Records are not opened.
///
/// State confined to one loop; file calls block it briefly.
public final class PartitionLog {
  /// The folder that holds the log's files.
  public let directory: String
  /// The settings in force.
  public private(set) var configuration: LogConfiguration
  let environment: LogEnvironment
  /// Oldest first, never empty; the last is the active one.
  var segments: [Segment]
  var producers = ProducerStates()
  /// First offsets of transactions whose marker is not durable yet, and so has no effect for readers; only under `.sync`.
  var undecided: [Int64] = []
  let tail = LogTail()
  /// Readers see nothing at or beyond it.
  public internal(set) var highWatermark: Offset
  /// A write failed in a way that leaves the file unknown.
  var isOffline = false
  /// Bytes were written that no sync has covered.
  var isDirty = false
  /// Where a recovery may begin to scan; kept open so that it can be written from another thread.
  var checkpointFile: (any File)?

  var active: Segment { segments[segments.count - 1] }
  /// The oldest offset still held.
  public var startOffset: Offset { Offset(segments[0].baseOffset) }
  /// The offset the next record gets.
  public var endOffset: Offset { Offset(active.endOffset) }
  /// Bytes of all segments.
  public var byteCount: Int64 { segments.reduce(0) { $0 + $1.size } }
  /// Files the log is cut into, the active one included: at least 1.
  public var segmentCount: Int { segments.count }

  /// The leader epoch of every batch: there is one broker, which has always led.
  public static let leaderEpoch: Int32 = 0

  init(directory: String, configuration: LogConfiguration, environment: LogEnvironment, segments: [Segment]) {
    self.directory = directory
    self.configuration = configuration
    self.environment = environment
    self.segments = segments
    highWatermark = Offset(segments[segments.count - 1].endOffset)
  }

  /// Takes over changed settings; they hold from the next append and the next maintenance on.
  public func apply(_ configuration: LogConfiguration) { self.configuration = configuration }

  /// Makes all appended batches durable and, under `.sync`, visible.
  public func flush() throws(LogError) {
    try requireOnline()
    if isDirty {
      do throws(FileError) {
        try active.file().sync()
      } catch {
        // Nobody can say which of the unsynced pages the disk holds.
        isOffline = true
        throw LogError(error)
      }
      isDirty = false
    }
    highWatermark = endOffset
    undecided.removeAll()
  }

  /// Lets go of what the log holds in memory, for good: before its folder is removed.
  public func retire() {
    isOffline = true
    tail.removeAll(from: environment.hotTail)
  }

  func requireOnline() throws(LogError) {
    if isOffline { throw LogError(.offline, path: directory) }
  }
}

/// What the logs of a broker share.
public struct LogEnvironment {
  /// Where the logs live.
  public var files: any FileStore
  /// Room for the newest batches, one for all logs.
  public var hotTail: HotTail
  /// When appended bytes are synced.
  public var flushPolicy: FlushPolicy
  /// Where sealed segments are synced, so that the log's own loop need not wait for the disk; nil: where they are sealed.
  public var background: (any Loop)?
  /// After how long an idle producer is forgotten (`producer.id.expiration.ms`).
  public var producerExpiration: Duration = .seconds(86_400)

  /// Producers expire after a day unless `producerExpiration` is set otherwise.
  /// - Parameter background: where sealed segments are synced; nil: where they are sealed.
  public init(files: any FileStore, hotTail: HotTail, flushPolicy: FlushPolicy, background: (any Loop)? = nil) {
    self.files = files
    self.hotTail = hotTail
    self.flushPolicy = flushPolicy
    self.background = background
  }
}

/// When appended batches are made durable.
public enum FlushPolicy: String, Sendable {
  /// When the operating system writes them: what was acknowledged survives the death of the process, not a power loss.
  case os
  /// Before they are acknowledged and visible: they survive a power loss.
  case sync
}
