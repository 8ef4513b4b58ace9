/// A compression that Kafka's record batches may carry.
///
/// Raw values are the codec bits of a batch's attributes (KIP-98, KIP-110); names are those of Kafka's setting
/// `compression.type`.
public enum CompressionCodec: UInt8, CaseIterable, Sendable, Hashable, CustomStringConvertible {
  /// Bytes as they are.
  case none = 0
  /// Deflate in gzip's container (RFC 1952).
  case gzip = 1
  /// Snappy blocks in the framing of xerial's Java library.
  case snappy = 2
  /// LZ4's frame format.
  case lz4 = 3
  /// Zstandard (RFC 8878).
  case zstd = 4

  /// The codec of that name, as in `compression.type`; `uncompressed` means none. Nil for another text.
  public init?(name: String) {
    let name = name.lowercased()
    if name == "uncompressed" {
      self = .none
      return
    }
    guard let codec = CompressionCodec.allCases.first(where: { $0.name == name }) else { return nil }
    self = codec
  }

  /// The name Kafka's settings use.
  public var name: String {
    switch self {
    case .none: "none"
    case .gzip: "gzip"
    case .snappy: "snappy"
    case .lz4: "lz4"
    case .zstd: "zstd"
    }
  }

  /// As `name`.
  public var description: String { name }

  /// The levels the codec knows, as Kafka's settings bound them (KIP-390); nil where it has none.
  public var levels: ClosedRange<Int>? {
    switch self {
    case .none, .snappy: nil
    case .gzip: 1...9
    case .lz4: 1...17
    case .zstd: -131_072...22
    }
  }

  /// The most bytes that one compressed byte can stand for, by the format; what a header claims beyond it is a lie.
  ///
  /// gzip: 258 bytes by a pair of one-bit codes is 1032 (zlib's technical notes). snappy: 64 bytes by a three-byte copy.
  /// lz4: a length grows by 255 a byte. zstd: a run of 128 KiB by a block of four bytes.
  var ratioMax: Int {
    switch self {
    case .none: 1
    case .gzip: 1032
    case .snappy: 22
    case .lz4: 255
    case .zstd: 32_768
    }
  }
}
