import Codecs
import Groundwork
import WireFormat

/// Why a record batch could not be read, changed or built.
public struct RecordBatchError: DiagnosableError, Equatable {
  /// Why, with what a message needs to say it.
  public enum Code: Sendable, Equatable {
    /// The bytes are not laid out as the format says.
    case malformed(DecodeError)
    /// The records could not be compressed or decompressed.
    case codec(CodecError)
    /// The stored checksum is not that of the bytes.
    case checksumMismatch(stored: UInt32, computed: UInt32)
    /// A message format other than 2.
    case unsupportedMagic(Int8)
    /// Codec bits that name no codec.
    case unknownCodec(Int)
    /// The header counts more records than there are, or fewer.
    case recordCountMismatch(claimed: Int32)
    /// A record's offset lies outside its batch or does not come after the one before it.
    case invalidOffset(delta: Int64)
    /// A batch or record that exceeds a limit in bytes.
    case tooLarge(limit: Int)
    /// A batch without records was to be finished.
    case empty
    /// A control record was wanted and the batch holds none.
    case notControl
  }
  /// Why.
  public var code: Code
  /// The base offset of the batch, where its header could be read.
  public var baseOffset: Offset?

  /// - Parameter baseOffset: the batch's, where its header could be read.
  public init(_ code: Code, baseOffset: Offset?) {
    self.code = code
    self.baseOffset = baseOffset
  }

  public var fault: Fault {
    switch code {
    case .codec(let error): error.fault
    case .tooLarge: .user
    case .empty, .notControl, .invalidOffset: baseOffset == nil ? .ours : .peer
    default: .peer
    }
  }
  public var isRetriable: Bool { false }
  public var leavesUsable: Bool { true }

  public var description: String {
    let place = baseOffset.map { " at offset \($0)" } ?? ""
    switch code {
    case .malformed(let error): return "corrupt record batch\(place): \(error)"
    case .codec(let error): return "record batch\(place): \(error)"
    case .checksumMismatch(let stored, let computed):
      let (stored, computed) = (String(stored, radix: 16), String(computed, radix: 16))
      return "corrupt record batch\(place): its checksum is \(stored), its bytes give \(computed)"
    case .unsupportedMagic(let magic):
      return "record batch\(place) in message format \(magic); only format 2 (Kafka 0.11 and later) can be read"
    case .unknownCodec(let bits): return "record batch\(place) in unknown compression \(bits)"
    case .recordCountMismatch(let claimed):
      return "corrupt record batch\(place): it claims \(claimed) records and does not hold as many"
    case .invalidOffset(let delta):
      return "corrupt record batch\(place): a record at offset delta \(delta), out of order or outside the batch"
    case .tooLarge(let limit): return "record batch\(place) larger than \(limit) bytes; send smaller batches or records"
    case .empty: return "a record batch needs a record"
    case .notControl: return "record batch\(place) holds no control record"
    }
  }
}
