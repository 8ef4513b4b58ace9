import Groundwork
import Synchronization

/// What compression and decompression need again and again: the libraries' contexts, made when first used, and the
/// output arena of the last call, used again as soon as nobody holds a slice of it.
///
/// Owned by one task at a time; not Sendable, and none of its calls blocks. Keeps at most `spareMax` bytes of output
/// between calls, and the libraries' contexts.
public final class CodecWorkspace {
  /// The largest output arena, in bytes, that is kept for the next call.
  public static var spareMax: Int { 8 << 20 }

  // Unchecked, since no call of the workspace ends up in another of its calls: the checks would cost each batch a few
  // per cent of its time.
  @exclusivity(unchecked) private var gzip: GzipContexts?
  @exclusivity(unchecked) private var lz4: LZ4Contexts?
  @exclusivity(unchecked) private var zstd: ZstdContexts?
  @exclusivity(unchecked) private var spare: Arena?
  /// Output bytes per 16 input bytes of the last call, by codec: formats that do not tell their size are given room by
  /// what came before.
  @exclusivity(unchecked) private var ratios = [Int](repeating: 48, count: CompressionCodec.allCases.count)

  /// Output arenas allocated so far, for tests and benchmarks.
  package private(set) var arenasMade = 0

  /// Holds nothing yet: contexts and arena are made by the first call that needs them.
  public init() {}

  /// Appends the compressed form of `bytes`.
  ///
  /// Formats: gzip (RFC 1952), snappy in the framing of xerial's Java library with blocks of 32 KiB, lz4 frames with
  /// independent blocks of 64 KiB and no checksums, zstd (RFC 8878), each as Kafka's Java client writes them; `none`
  /// copies.
  ///
  /// - Parameter level: as `CompressionCodec.levels`; nil for the codec's default.
  /// - Throws: `invalidLevel`, `library`; the writer is then as before.
  public func compress(
    _ bytes: UnsafeRawBufferPointer, with codec: CompressionCodec, level: Int? = nil, into writer: inout ByteWriter
  ) throws(CodecError) {
    if let level, codec.levels?.contains(level) != true { throw CodecError(codec, .invalidLevel(level)) }
    let start = writer.count
    do throws(CodecError) {
      switch codec {
      case .none: writer.append(bytes)
      case .gzip: try gzipContexts().compress(bytes, level: level, into: &writer)
      case .snappy: try Snappy.compress(bytes, into: &writer)
      case .lz4: try lz4Contexts().compress(bytes, level: level, into: &writer)
      case .zstd: try zstdContexts().compress(bytes, level: level, into: &writer)
      }
    } catch {
      writer.truncate(to: start)
      throw error
    }
  }

  /// Decompresses the whole of `bytes` into an arena.
  ///
  /// Memory grows with what is really there: the first attempt gets room by the ratio seen before or by a size the
  /// format states, never more than the format's highest possible ratio allows, and each further one twice as much.
  ///
  /// - Parameter limit: the most bytes the content may have; beyond it the call throws `tooLarge`.
  public func decompress(
    _ bytes: UnsafeRawBufferPointer, with codec: CompressionCodec, limit: Int
  ) throws(CodecError) -> DecompressedBytes {
    switch codec {
    case .none:
      guard bytes.count <= limit else { throw CodecError(codec, .tooLarge(limit: limit)) }
      let output = arena(bytes.count)
      if let from = bytes.baseAddress { output.base.copyMemory(from: from, byteCount: bytes.count) }
      return DecompressedBytes(arena: output, count: bytes.count)
    case .snappy:
      let layout = try Snappy.layout(of: bytes, limit: limit)
      let output = arena(layout.size)
      try Snappy.decompress(bytes, layout, to: UnsafeMutableRawBufferPointer(start: output.base, count: layout.size))
      return DecompressedBytes(arena: output, count: layout.size)
    case .gzip:
      let contexts = try gzipContexts()
      return try decompress(bytes, codec, limit: limit, stated: GzipContexts.statedSize(bytes)) {
        output throws(CodecError) in try contexts.decompress(bytes, to: output)
      }
    case .lz4:
      return try decompress(bytes, codec, limit: limit, stated: nil) { output throws(CodecError) in
        if let count = LZ4PlainFrame.decompress(bytes, to: output) { return count }
        return try lz4Contexts().decompress(bytes, to: output)
      }
    case .zstd:
      let contexts = try zstdContexts()
      return try decompress(bytes, codec, limit: limit, stated: ZstdContexts.statedSize(bytes)) {
        output throws(CodecError) in try contexts.decompress(bytes, to: output)
      }
    }
  }

  /// Calls `attempt` with ever more room until it fits; it returns nil when the room did not do.
  private func decompress(
    _ bytes: UnsafeRawBufferPointer, _ codec: CompressionCodec, limit: Int, stated: Int?,
    _ attempt: (UnsafeMutableRawBufferPointer) throws(CodecError) -> Int?
  ) throws(CodecError) -> DecompressedBytes {
    guard bytes.count > 0 else { throw CodecError(codec, .truncated) }
    let place = Int(codec.rawValue)
    let (possible, overflow) = bytes.count.multipliedReportingOverflow(by: codec.ratioMax)
    let ceiling = min(limit, overflow ? .max : possible &+ 65_536)
    // A fourth more than the last ratio, and a block: lz4 decodes straight into the output where a whole block fits.
    let expected = (bytes.count / 16 + 1) * ratios[place] / 4 * 5 + 66_048
    var room = min(ceiling, expected)
    if let stated {
      // 512 spare bytes keep the libraries' fast loops going to the end. A stated size is believed up to 64 times the
      // input; beyond that the memory must be earned by doubling.
      let (padded, overflow) = stated.addingReportingOverflow(512)
      room = min(ceiling, overflow ? .max : padded, max(bytes.count * 64, expected))
    }
    while true {
      let output = arena(room)
      let tried = min(output.capacity, limit)
      if let count = try attempt(UnsafeMutableRawBufferPointer(start: output.base, count: tried)) {
        ratios[place] = min(count / (bytes.count / 16 + 1) + 1, 16 * 64)
        return DecompressedBytes(arena: output, count: count)
      }
      guard tried < ceiling else {
        throw CodecError(codec, tried == limit ? .tooLarge(limit: limit) : .corrupt("more than its format can hold"))
      }
      room = min(ceiling, tried &* 2)
    }
  }

  /// An arena of at least `capacity` bytes that nobody else holds.
  private func arena(_ capacity: Int) -> Arena {
    if isKnownUniquelyReferenced(&spare), let spare, spare.capacity >= capacity {
      // The last slice may have been dropped on another thread: its reads come before our writes.
      atomicMemoryFence(ordering: .acquiring)
      return spare
    }
    // A quarter more than asked for: the next batch of the same kind is seldom exactly as large.
    let arena = Arena(capacity: capacity + capacity / 4)
    arenasMade += 1
    spare = arena.capacity <= CodecWorkspace.spareMax ? arena : nil
    return arena
  }

  private func gzipContexts() throws(CodecError) -> GzipContexts {
    if let gzip { return gzip }
    let made = try GzipContexts()
    gzip = made
    return made
  }

  private func lz4Contexts() throws(CodecError) -> LZ4Contexts {
    if let lz4 { return lz4 }
    let made = try LZ4Contexts()
    lz4 = made
    return made
  }

  private func zstdContexts() throws(CodecError) -> ZstdContexts {
    if let zstd { return zstd }
    let made = try ZstdContexts()
    zstd = made
    return made
  }
}

/// What a decompression gave: the first `count` bytes of an arena.
public struct DecompressedBytes: Sendable {
  /// The memory that holds the content; the workspace writes into it again once nobody holds it.
  public let arena: Arena
  /// Bytes of content, from the arena's first on.
  public let count: Int
  /// The first `count` bytes of an arena, which must hold as many.
  public init(arena: Arena, count: Int) {
    self.arena = arena
    self.count = count
  }
  /// The content as a value; retains the arena where it is longer than 15 bytes.
  public var bytes: Bytes { Bytes(arena, offset: 0, count: count) }
}

extension CodecWorkspace {
  /// As `compress(_:with:level:into:)`, of and to values.
  public func compress(_ bytes: Bytes, with codec: CompressionCodec, level: Int? = nil) throws(CodecError) -> Bytes {
    var writer = ByteWriter(capacity: bytes.count / 2 + 64)
    try bytes.withUnsafeBytes { raw throws(CodecError) in
      try compress(raw, with: codec, level: level, into: &writer)
    }
    return writer.copyBytes()
  }

  /// As `decompress(_:with:limit:)`, of and to values.
  public func decompress(_ bytes: Bytes, with codec: CompressionCodec, limit: Int) throws(CodecError) -> Bytes {
    try bytes.withUnsafeBytes { raw throws(CodecError) in
      try decompress(raw, with: codec, limit: limit).bytes
    }
  }
}
