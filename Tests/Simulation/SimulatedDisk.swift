import Groundwork
import SystemInterfaces

/// A disk in memory that tells what was written from what was synced.
///
/// A process may die at any time and what it wrote stays; when the power goes (`losePower`), of what was not synced any
/// part may be there, torn at any byte, and of the names made, removed or renamed since the last `syncDirectory` of
/// their directory only the first few may be. Which, the seed decides.
///
/// Sendable: confined to the thread of its world.
public final class SimulatedDisk: @unchecked Sendable {
  /// For traces and reports.
  public let name: String
  /// Bytes the disk holds at most; nil is without limit. A write beyond it writes what fits and throws `.diskFull`.
  public var capacity: Int64?
  /// How long the calls take: virtual time passes inside them.
  public var writeTime: Duration = .zero
  /// How long a sync takes, of a file or of a directory.
  public var syncTime: Duration = .zero
  /// That any write, sync, open or rename fails with `.inputOutput`.
  public var failureProbability = 0.0
  /// Hears of each injected fault when it strikes, before the call fails: a test lets the process die there.
  public var onFault: ((DiskFault) -> Void)?
  /// Asked at each call that a fault can strike, in their order; what it returns strikes that call. A test counts the
  /// calls with it, and picks one.
  public var chooseFault: ((_ operation: DiskFault.Operation, _ path: String) -> DiskFault?)?
  /// Bytes in files, and calls made, so far.
  public internal(set) var usedBytes: Int64 = 0
  /// Writes to files of this disk so far, those struck by a fault included.
  public internal(set) var writes = 0
  /// Syncs of files of this disk so far, those struck by a fault included; `syncDirectory` does not count.
  public internal(set) var syncs = 0
  /// How often somebody has waited for such syncs: once for files that are synced together.
  public internal(set) var syncWaits = 0
  /// The sync under way is one of several at the same time, and not the first.
  var isSyncJoined = false

  unowned var world: SimulatedWorld!
  var random: SeededRandom
  let root = Directory()
  /// Changes of names that a power loss may undo, the oldest first.
  var unsyncedNames: [NameChange] = []
  private var faults: [DiskFault] = []
  private var locks: [HeldLock] = []

  struct HeldLock {
    var path: String
    var owner: SimulatedProcess
    var file: FileNode
  }

  init(name: String, seed: UInt64) {
    self.name = name
    random = SeededRandom(seed: seed)
  }

  /// Lets go of everything, also of what open files hold.
  func end() {
    for file in allFiles() {
      file.content = []
      file.unsynced = []
    }
    root.entries = [:]
    unsyncedNames = []
    locks = []
    faults = []
    onFault = nil
    chooseFault = nil
  }

  // MARK: Faults

  /// Adds a fault that strikes once.
  public func inject(_ fault: DiskFault) { faults.append(fault) }

  /// Faults that have not struck yet.
  public var pendingFaults: Int { faults.count }

  /// Forgets the faults that have not struck.
  public func clearFaults() { faults = [] }

  /// Counts down the faults that wait for such a call and gives the one whose turn it is.
  func faultDue(_ operation: DiskFault.Operation, _ path: String) -> DiskFault? {
    if let fault = chooseFault?(operation, path) {
      world.note("chosen fault: \(operation) \(path)")
      onFault?(fault)
      return fault
    }
    var due: Int?
    for index in faults.indices
    where faults[index].operation == operation && path.contains(faults[index].pathPart) {
      faults[index].after -= 1
      if faults[index].after < 0, due == nil { due = index }
    }
    if let due {
      world.note("fault: \(operation) \(path)")
      let fault = faults.remove(at: due)
      onFault?(fault)
      return fault
    }
    if failureProbability > 0, Double(random.next() >> 11) * 0x1p-53 < failureProbability {
      world.note("fault by chance: \(operation) \(path)")
      return DiskFault(operation, code: .inputOutput, isTorn: random.next() & 1 == 0)
    }
    return nil
  }

  func strike(_ operation: DiskFault.Operation, _ path: String) throws(FileError) {
    if let fault = faultDue(operation, path) {
      throw FileError(fault.code, path: path, operation: operation.rawValue)
    }
  }

  // MARK: Names

  static func parts(_ path: String) -> [String] {
    path.split(separator: "/").filter { $0 != "." }.map(String.init)
  }

  func node(_ path: String, _ operation: String) throws(FileError) -> Node? {
    var node = Node.directory(root)
    for part in Self.parts(path) {
      switch node {
      case .file: throw FileError(.notADirectory, path: path, operation: operation)
      case .directory(let directory):
        guard let next = directory.entries[part] else { return nil }
        node = next
      }
    }
    return node
  }

  /// The directory a path's last name stands in, and that name.
  func parent(_ path: String, _ operation: String) throws(FileError) -> (Directory, String) {
    var parts = Self.parts(path)
    guard let last = parts.popLast() else { throw FileError(.isADirectory, path: path, operation: operation) }
    guard last.utf8.count <= 255 else { throw FileError(.nameTooLong, path: path, operation: operation) }
    switch try node(parts.joined(separator: "/"), operation) {
    case .directory(let directory): return (directory, last)
    case .file: throw FileError(.notADirectory, path: path, operation: operation)
    case nil: throw FileError(.notFound, path: path, operation: operation)
    }
  }

  // MARK: Locks

  func lock(_ path: String, _ file: FileNode, for owner: SimulatedProcess) throws(FileError) {
    if locks.contains(where: { $0.file === file }) {
      let holder = String(decoding: file.content, as: UTF8.self)
      throw FileError(.locked(by: holder), path: path, operation: "lock")
    }
    locks.append(HeldLock(path: path, owner: owner, file: file))
  }

  func unlock(_ file: FileNode) { locks.removeAll { $0.file === file } }
  func isLocked(_ file: FileNode) -> Bool { locks.contains { $0.file === file } }
  func releaseLocks(of owner: SimulatedProcess) { locks.removeAll { $0.owner === owner } }
}

/// A fault that strikes one call.
public struct DiskFault: Sendable {
  /// The calls that a fault can strike; the raw value is what the thrown `FileError` names as its operation.
  public enum Operation: String, Sendable { case open, read, write, sync, truncate, rename, remove }
  /// Which call is struck; calls of other kinds are not counted by `after`.
  public var operation: Operation
  /// How many such calls succeed before.
  public var after: Int
  /// What the path must contain; empty is any.
  public var pathPart: String
  /// What the call throws.
  public var code: FileError.Code
  /// A write leaves a random part of its bytes behind.
  public var isTorn: Bool

  /// - Parameters:
  ///   - operation: which call is struck.
  ///   - after: how many matching calls succeed before.
  ///   - pathPart: what the path must contain; empty is any.
  ///   - code: what the call throws.
  ///   - isTorn: whether a write leaves a random part of its bytes behind.
  public init(
    _ operation: Operation, after: Int = 0, pathContains pathPart: String = "", code: FileError.Code,
    isTorn: Bool = false
  ) {
    self.operation = operation
    self.after = after
    self.pathPart = pathPart
    self.code = code
    self.isTorn = isTorn
  }
}

final class Directory {
  var entries: [String: Node] = [:]
}

/// A file's bytes, and how to take back what was not synced.
final class FileNode {
  enum Change {
    /// `bytes` at `position`; `before` are the bytes that stood there, fewer where the file ended.
    case write(position: Int, bytes: [UInt8], before: [UInt8], sizeBefore: Int)
    /// The file was cut or grown to `size`; `tail` is what was cut off.
    case resize(size: Int, sizeBefore: Int, tail: [UInt8])
  }
  var content: [UInt8] = []
  var unsynced: [Change] = []
  var modified = Timestamp.none
  /// Names that lead to it, 0 or 1: bytes count against the disk until both names and handles are gone, but here,
  /// where nothing keeps deleted files open for long, until the name is gone.
  var isLinked = true
}

enum Node {
  case file(FileNode)
  case directory(Directory)
}

enum NameChange {
  case make(Directory, String, Node)
  case remove(Directory, String, Node)
  case rename(from: Directory, String, to: Directory, String, Node, replaced: Node?)

  func concerns(_ directory: Directory) -> Bool {
    switch self {
    case .make(let at, _, _), .remove(let at, _, _): at === directory
    case .rename(let from, _, let to, _, _, _): from === directory || to === directory
    }
  }
}
