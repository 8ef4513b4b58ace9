import Groundwork
import KafkaProtocol

/// A record read from a topic.
///
/// Key and value are slices of the decompressed batch; a record is safe to keep, at the price of keeping that batch.
public struct ConsumerRecord: Sendable {
  /// The topic it was read from.
  public let topic: String
  /// The partition it was read from.
  public let partition: PartitionIndex
  /// nil where the key is null.
  public let key: Bytes?
  /// Empty where the value is null; see `isTombstone`.
  public let value: Bytes
  /// Its offset in the partition.
  public let offset: Offset
  /// Create time or log-append time, as the topic has it.
  public let timestamp: Timestamp
  /// Whether the value is null: a deletion in a compacted topic.
  public let isTombstone: Bool
  private let storedHeaders: RecordHeaders?

  /// The headers, in order; keys may repeat.
  public var headers: [RecordHeader] { storedHeaders.map(Array.init) ?? [] }

  /// A record without headers, put together by hand; a nil value makes a tombstone.
  public init(
    topic: String, partition: PartitionIndex, offset: Offset, timestamp: Timestamp, key: Bytes?, value: Bytes?
  ) {
    self.topic = topic
    self.partition = partition
    self.offset = offset
    self.timestamp = timestamp
    self.key = key
    self.value = value ?? Bytes()
    isTombstone = value == nil
    storedHeaders = nil
  }

  /// Where the parts stand in memory, for `ConsumerRecordBuffer`.
  fileprivate struct Layout {
    let topic = MemoryLayout<ConsumerRecord>.offset(of: \.topic)!
    let partition = MemoryLayout<ConsumerRecord>.offset(of: \.partition)!
    let key = MemoryLayout<ConsumerRecord>.offset(of: \.key)!
    let value = MemoryLayout<ConsumerRecord>.offset(of: \.value)!
    let offset = MemoryLayout<ConsumerRecord>.offset(of: \.offset)!
    let timestamp = MemoryLayout<ConsumerRecord>.offset(of: \.timestamp)!
    let isTombstone = MemoryLayout<ConsumerRecord>.offset(of: \.isTombstone)!
    let headers = MemoryLayout<ConsumerRecord>.offset(of: \.storedHeaders)!
  }
}

/// The source's chunk: records whose keys and values do not retain the batch they lie in. Each executor keeps one.
///
/// The slots are written field by field and never destroyed, so a record costs no reference counting until somebody
/// copies it. Proof that this is safe: whoever fills the buffer holds the batch's memory and the topic's string until
/// `emit` has returned, and empties the buffer before letting go; readers see the slots only during `emit`, and what they
/// copy is retained then, while the memory is alive. Headers, which are rare, are real values: they are destroyed when the
/// buffer is emptied.
final class ConsumerRecordBuffer {
  static let capacity = 1024
  private static let layout = ConsumerRecord.Layout()

  private let slots: UnsafeMutablePointer<ConsumerRecord>
  private(set) var count = 0
  /// Slots whose headers must be destroyed.
  private var withHeaders: [Int] = []
  /// Whether a task is filling it: a computation nested in another's `emit` takes a buffer of its own.
  var isInUse = false

  init() {
    slots = .allocate(capacity: ConsumerRecordBuffer.capacity)
    for index in 0..<ConsumerRecordBuffer.capacity {
      (UnsafeMutableRawPointer(slots + index) + ConsumerRecordBuffer.layout.headers)
        .initializeMemory(as: RecordHeaders?.self, to: nil)
    }
  }

  deinit {
    // The slots are not destroyed: they own nothing, see above.
    slots.deallocate()
  }

  var isFull: Bool { count == ConsumerRecordBuffer.capacity }

  /// Adds a record of a batch whose memory the caller holds, as well as the topic, until the buffer was emptied.
  func append(_ record: borrowing RecordView, topic: borrowing String, partition: PartitionIndex) {
    let layout = ConsumerRecordBuffer.layout
    let slot = UnsafeMutableRawPointer(slots + count)
    withUnsafePointer(to: topic) {
      (slot + layout.topic).copyMemory(from: $0, byteCount: MemoryLayout<String>.size)
    }
    (slot + layout.partition).storeBytes(of: partition, as: PartitionIndex.self)
    (slot + layout.offset).storeBytes(of: record.offset, as: Offset.self)
    (slot + layout.timestamp).storeBytes(of: record.timestamp, as: Timestamp.self)
    (slot + layout.key).initializeMemory(as: Bytes?.self, to: record.unretainedKey)
    let value = record.unretainedValue
    (slot + layout.isTombstone).storeBytes(of: value == nil, as: Bool.self)
    (slot + layout.value).initializeMemory(as: Bytes.self, to: value ?? Bytes())
    if record.headerCount > 0 {
      (slot + layout.headers).initializeMemory(as: RecordHeaders?.self, to: record.headers)
      withHeaders.append(count)
    }
    count += 1
  }

  /// Lends the records to `emit` and empties the buffer.
  func flush(_ emit: (UnsafeBufferPointer<ConsumerRecord>) throws -> Void) rethrows {
    guard count > 0 else { return }
    defer { removeAll() }
    try emit(UnsafeBufferPointer(start: slots, count: count))
  }

  func removeAll() {
    for index in withHeaders {
      let headers = UnsafeMutableRawPointer(slots + index) + ConsumerRecordBuffer.layout.headers
      headers.assumingMemoryBound(to: RecordHeaders?.self).pointee = nil
    }
    withHeaders.removeAll(keepingCapacity: true)
    count = 0
  }
}
