/// Where a persisted dataset's partitions are kept; the names and their meaning are Spark's. Copies on other machines
/// (`_2`, `_3`) do not exist, because a job is one process.
public struct StorageLevel: Sendable, Hashable, CustomStringConvertible {
  /// Whether partitions are kept in memory, as long as there is room.
  public let usesMemory: Bool
  /// Whether partitions that memory has no room for are kept on disk.
  public let usesDisk: Bool
  /// Whether memory holds the elements' encoding (see `ElementCodec`) instead of the elements: smaller by far, and to be
  /// decoded at each use.
  public let isSerialized: Bool

  /// As elements in memory; what does not fit is computed again when needed.
  public static let memoryOnly = StorageLevel(usesMemory: true, usesDisk: false, isSerialized: false)
  /// Encoded in memory; what does not fit is computed again when needed.
  public static let memoryOnlySer = StorageLevel(usesMemory: true, usesDisk: false, isSerialized: true)
  /// As elements in memory; what does not fit is on disk.
  public static let memoryAndDisk = StorageLevel(usesMemory: true, usesDisk: true, isSerialized: false)
  /// Encoded in memory; what does not fit is on disk.
  public static let memoryAndDiskSer = StorageLevel(usesMemory: true, usesDisk: true, isSerialized: true)
  /// On disk.
  public static let diskOnly = StorageLevel(usesMemory: false, usesDisk: true, isSerialized: true)

  /// Whether elements must have an `ElementCodec` for it.
  public var needsCodec: Bool { usesDisk || isSerialized }

  /// The name Spark has for it: `MEMORY_AND_DISK_SER`.
  public var description: String {
    guard usesMemory else { return "DISK_ONLY" }
    return (usesDisk ? "MEMORY_AND_DISK" : "MEMORY_ONLY") + (isSerialized ? "_SER" : "")
  }
}
