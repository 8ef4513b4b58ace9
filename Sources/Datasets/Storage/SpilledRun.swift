import Groundwork

/// A frame of a run, and how many elements it encodes (elements without bytes exist: `Void`).
struct RunFrame: Sendable {
  var frame: SpillFrame
  var records: Int
}

/// Elements in a spill file, in order, to be read any number of times.
///
/// Sendable: constant.
final class SpilledRun: Sendable {
  let file: any SpillFile
  let frames: [RunFrame]
  let records: Int

  init(_ file: any SpillFile, _ frames: [RunFrame]) {
    self.file = file
    self.frames = frames
    records = frames.reduce(0) { $0 + $1.records }
  }

  /// Bytes in the file.
  var storedBytes: Int { frames.reduce(0) { $0 + $1.frame.storedCount } }

  /// Hands over the elements a frame at a time.
  /// - Throws: `StorageError` with `.lost` where the file is gone or holds something else.
  func read<Element>(
    _ codec: ElementCodec<Element>, _ locals: ExecutorLocals, _ emit: (UnsafeBufferPointer<Element>) throws -> Void
  ) throws {
    guard !frames.isEmpty else { return }
    let reader = try file.open()
    var chunk = Chunk<Element>()
    for frame in frames {
      try SpilledRun.decode(frame, codec, reader, file, locals, &chunk)
      try emit(chunk.view)
      chunk.clear()
    }
  }

  /// Appends a frame's elements to the chunk.
  static func decode<Element>(
    _ frame: RunFrame, _ codec: ElementCodec<Element>, _ reader: any SpillReader, _ file: any SpillFile,
    _ locals: ExecutorLocals, _ chunk: inout Chunk<Element>
  ) throws {
    let bytes = try reader.read(frame.frame, locals)
    do {
      try codec.decode(bytes, count: frame.records, into: &chunk)
    } catch let error as StreamDecodingError {
      throw StorageError(.lost("\(file.path) at byte \(frame.frame.position): \(error)"))
    }
  }
}

/// Writes elements into a spill file, in frames.
///
/// Used by one task.
final class RunWriter<Element> {
  let file: any SpillFile
  private let codec: ElementCodec<Element>
  private let frameSize: Int
  private let locals: ExecutorLocals
  private var buffer = ByteWriter()
  private var buffered = 0
  private var frames: [RunFrame] = []
  /// What was written so far, of all runs.
  private(set) var counts = SpillCounts()

  init(_ file: any SpillFile, _ codec: ElementCodec<Element>, frameSize: Int, _ locals: ExecutorLocals) {
    self.file = file
    self.codec = codec
    self.frameSize = frameSize
    self.locals = locals
  }

  func append(_ address: UnsafePointer<Element>) throws {
    codec.raw.encode(UnsafeRawPointer(address), &buffer)
    buffered += 1
    if buffer.count >= frameSize || buffered == 65_536 { try flush() }
  }

  func append(_ view: UnsafeBufferPointer<Element>) throws {
    guard let base = view.baseAddress else { return }
    for index in 0..<view.count { try append(base + index) }
  }

  private func flush() throws {
    guard buffered > 0 else { return }
    let frame = try buffer.withUnsafeBytes { try file.append($0, locals) }
    frames.append(RunFrame(frame: frame, records: buffered))
    counts.records += buffered
    counts.bytes += frame.count
    counts.diskBytes += frame.storedCount
    buffer.removeAll()
    buffered = 0
  }

  /// Ends the run; what is appended later belongs to the next.
  func endRun() throws -> [RunFrame] {
    try flush()
    defer { frames = [] }
    return frames
  }

  /// Takes what was counted, which is then counted from 0 again.
  func takeCounts() -> SpillCounts {
    defer { counts = SpillCounts() }
    return counts
  }
}

/// What left memory for lack of room.
public struct SpillCounts: Sendable, Equatable {
  /// Elements.
  public var records = 0
  /// Bytes of their encoding.
  public var bytes = 0
  /// Bytes on disk, compressed.
  public var diskBytes = 0

  /// Nothing.
  public init() {}

  /// Adds what somebody else counted.
  public mutating func add(_ other: SpillCounts) {
    records += other.records
    bytes += other.bytes
    diskBytes += other.diskBytes
  }
}
