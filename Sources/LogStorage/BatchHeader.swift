import Groundwork

/// The header of a record batch in the log: what the storage looks at. The records behind it are nobody's business here.
///
///     byte  0   base offset             Int64   set by the broker; not under the CRC
///           8   batch length            Int32   bytes after this field
///          12   partition leader epoch  Int32   set by the broker; not under the CRC
///          16   magic                   Int8    2
///          17   CRC-32C                 UInt32  of everything from the attributes on
///          21   attributes              Int16   bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control
///          23   last offset delta       Int32
///          27   base timestamp          Int64
///          35   max timestamp           Int64
///          43   producer id             Int64
///          51   producer epoch          Int16
///          53   base sequence           Int32
///          57   record count            Int32
///          61   records
///
/// Kafka documentation, "Record Batch"; KIP-98.
struct BatchHeader: Equatable {
  static let size = 61
  /// Bytes before what the batch length counts.
  static let lengthOverhead = 12
  static let baseOffsetPosition = 0
  static let leaderEpochPosition = 12
  static let crcPosition = 17
  static let attributesPosition = 21
  static let maxTimestampPosition = 35
  static let currentMagic: Int8 = 2

  static let codecMask: Int16 = 0x07
  static let logAppendTimeBit: Int16 = 0x08
  static let transactionalBit: Int16 = 0x10
  static let controlBit: Int16 = 0x20

  var baseOffset: Int64
  var batchLength: Int32
  var leaderEpoch: Int32
  var magic: Int8
  var crc: UInt32
  var attributes: Int16
  var lastOffsetDelta: Int32
  var baseTimestamp: Int64
  var maxTimestamp: Int64
  var producerID: Int64
  var producerEpoch: Int16
  var baseSequence: Int32
  var recordCount: Int32

  /// Reads the 61 bytes at the start of `raw`; nil where there are fewer.
  init?(_ raw: UnsafeRawBufferPointer) {
    guard raw.count >= BatchHeader.size else { return nil }
    func load<I: FixedWidthInteger & BitwiseCopyable>(_ position: Int) -> I {
      I(bigEndian: raw.loadUnaligned(fromByteOffset: position, as: I.self))
    }
    baseOffset = load(0)
    batchLength = load(8)
    leaderEpoch = load(12)
    magic = load(16)
    crc = load(17)
    attributes = load(21)
    lastOffsetDelta = load(23)
    baseTimestamp = load(27)
    maxTimestamp = load(35)
    producerID = load(43)
    producerEpoch = load(51)
    baseSequence = load(53)
    recordCount = load(57)
  }

  /// The whole batch, header and all.
  var byteCount: Int { Int(batchLength) + BatchHeader.lengthOverhead }
  var lastOffset: Int64 { baseOffset &+ Int64(lastOffsetDelta) }
  var isControl: Bool { attributes & BatchHeader.controlBit != 0 }
  var isTransactional: Bool { attributes & BatchHeader.transactionalBit != 0 }
  var isIdempotent: Bool { producerID >= 0 }
  var lastSequence: Int32 { ProducerStates.sequence(baseSequence, advancedBy: lastOffsetDelta) }

  /// Whether the numbers can be a batch at all: what must hold before the batch length is believed.
  var isPlausible: Bool {
    magic == BatchHeader.currentMagic && batchLength >= Int32(BatchHeader.size - BatchHeader.lengthOverhead)
      && lastOffsetDelta >= 0 && baseOffset >= 0 && baseOffset <= Int64.max - Int64(Int32.max)
  }
}
