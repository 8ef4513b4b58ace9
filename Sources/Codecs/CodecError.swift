import Groundwork

/// Why bytes could not be compressed or decompressed.
public struct CodecError: DiagnosableError, Equatable {
  /// What went wrong.
  public enum Code: Sendable, Equatable {
    /// The bytes are not what the codec writes; the text is the library's or says what is wrong.
    case corrupt(String)
    /// The bytes end before the compressed stream does.
    case truncated
    /// The content is larger than the caller's limit in bytes.
    case tooLarge(limit: Int)
    /// A level the codec does not have.
    case invalidLevel(Int)
    /// The library refused for a reason of its own, such as memory.
    case library(String)
  }
  /// The codec that was asked for.
  public var codec: CompressionCodec
  /// The kind of error, with its particulars: what callers branch on.
  public var code: Code

  /// Says what went wrong with which codec.
  public init(_ codec: CompressionCodec, _ code: Code) {
    self.codec = codec
    self.code = code
  }

  /// The peer's for bytes that are wrong or too large, the user's for a level, the machine's for a library's refusal.
  public var fault: Fault {
    switch code {
    case .corrupt, .truncated, .tooLarge: .peer
    case .invalidLevel: .user
    case .library: .machine
    }
  }
  /// False: the same bytes fail again.
  public var isRetriable: Bool { false }
  /// True: the workspace can be used for further calls.
  public var leavesUsable: Bool { true }

  /// Names the codec and what is wrong with the bytes or the level.
  public var description: String {
    switch code {
    case .corrupt(let reason): return "corrupt \(codec) data: \(reason)"
    case .truncated: return "\(codec) data that ends too early"
    case .tooLarge(let limit): return "\(codec) data that decompresses to more than the limit of \(limit) bytes"
    case .invalidLevel(let level):
      guard let levels = codec.levels else { return "\(codec) has no compression levels; leave the level out" }
      return "\(codec) has no compression level \(level); choose one from \(levels.lowerBound) to \(levels.upperBound)"
    case .library(let reason): return "the \(codec) library failed: \(reason)"
    }
  }
}
