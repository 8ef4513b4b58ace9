import Groundwork
import SystemInterfaces

/// A disk as one process has it.
///
/// Sendable: confined to the thread of its world.
final class SimulatedFileStore: FileStore, @unchecked Sendable {
  private let disk: SimulatedDisk
  private unowned let process: SimulatedProcess

  init(_ disk: SimulatedDisk, for process: SimulatedProcess) {
    self.disk = disk
    self.process = process
  }

  private func check(_ path: String, _ operation: String) throws(FileError) {
    guard process.isAlive else { throw FileError(.other(3), path: path, operation: operation) }
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
    try check(path, "open")
    try disk.strike(.open, path)
    let node = try file(path, mode, "open")
    return SimulatedFile(path, node, on: disk, for: process, isWritable: mode != .read)
  }

  private func file(_ path: String, _ mode: OpenMode, _ operation: String) throws(FileError) -> FileNode {
    switch try disk.node(path, operation) {
    case .directory:
      throw FileError(.isADirectory, path: path, operation: operation)
    case .file(let node):
      if mode == .create, !node.content.isEmpty {
        node.unsynced.append(.resize(size: 0, sizeBefore: node.content.count, tail: node.content))
        disk.usedBytes -= Int64(node.content.count)
        node.content = []
      }
      return node
    case nil:
      guard mode != .read else { throw FileError(.notFound, path: path, operation: operation) }
      let (directory, name) = try disk.parent(path, operation)
      let node = FileNode()
      node.modified = disk.world.wallTime
      directory.entries[name] = .file(node)
      disk.unsyncedNames.append(.make(directory, name, .file(node)))
      return node
    }
  }

  func createDirectories(_ path: String) throws(FileError) {
    try check(path, "create")
    var directory = disk.root
    for part in SimulatedDisk.parts(path) {
      switch directory.entries[part] {
      case .directory(let next): directory = next
      case .file: throw FileError(.notADirectory, path: path, operation: "create")
      case nil:
        let next = Directory()
        directory.entries[part] = .directory(next)
        directory = next
      }
    }
  }

  func list(_ path: String) throws(FileError) -> [String] {
    try check(path, "list")
    switch try disk.node(path, "list") {
    case .directory(let directory): return directory.entries.keys.sorted()
    case .file: throw FileError(.notADirectory, path: path, operation: "list")
    case nil: throw FileError(.notFound, path: path, operation: "list")
    }
  }

  func attributes(_ path: String) throws(FileError) -> FileAttributes? {
    try check(path, "read")
    switch try disk.node(path, "read") {
    case .directory: return FileAttributes(size: 0, isDirectory: true, modified: disk.world.wallTime)
    case .file(let node):
      return FileAttributes(size: Int64(node.content.count), isDirectory: false, modified: node.modified)
    case nil: return nil
    }
  }

  func removeFile(_ path: String) throws(FileError) {
    try check(path, "remove")
    try disk.strike(.remove, path)
    let (directory, name) = try disk.parent(path, "remove")
    guard let node = directory.entries[name] else { throw FileError(.notFound, path: path, operation: "remove") }
    guard case .file = node else { throw FileError(.isADirectory, path: path, operation: "remove") }
    remove(directory, name, node)
  }

  func removeTree(_ path: String) throws(FileError) {
    try check(path, "remove")
    try disk.strike(.remove, path)
    guard try disk.node(path, "remove") != nil else { return }
    let (directory, name) = try disk.parent(path, "remove")
    if let node = directory.entries[name] { remove(directory, name, node) }
  }

  private func remove(_ directory: Directory, _ name: String, _ node: Node) {
    directory.entries[name] = nil
    disk.unsyncedNames.append(.remove(directory, name, node))
    unlink(node)
  }

  private func unlink(_ node: Node) {
    switch node {
    case .file(let file):
      if file.isLinked { disk.usedBytes -= Int64(file.content.count) }
      file.isLinked = false
    case .directory(let directory):
      for name in directory.entries.keys.sorted() { unlink(directory.entries[name]!) }
    }
  }

  func rename(_ from: String, to: String) throws(FileError) {
    try check(from, "rename")
    try disk.strike(.rename, from)
    let (source, oldName) = try disk.parent(from, "rename")
    guard let node = source.entries[oldName] else { throw FileError(.notFound, path: from, operation: "rename") }
    let (target, newName) = try disk.parent(to, "rename")
    let replaced = target.entries[newName]
    switch (node, replaced) {
    case (.file(let file), .file(let old)):
      if file === old { return }
      unlink(.file(old))
    case (.file, .directory): throw FileError(.isADirectory, path: to, operation: "rename")
    case (.directory, .file): throw FileError(.notADirectory, path: to, operation: "rename")
    case (.directory, .directory(let old)) where !old.entries.isEmpty:
      throw FileError(.notEmpty, path: to, operation: "rename")
    case (.directory(let moved), _):
      guard !contains(moved, target) else { throw FileError(.other(22), path: from, operation: "rename") }
    case (.file, nil): break
    }
    source.entries[oldName] = nil
    target.entries[newName] = node
    disk.unsyncedNames.append(.rename(from: source, oldName, to: target, newName, node, replaced: replaced))
  }

  private func contains(_ directory: Directory, _ other: Directory) -> Bool {
    if directory === other { return true }
    return directory.entries.values.contains { node in
      if case .directory(let inner) = node { contains(inner, other) } else { false }
    }
  }

  func syncDirectory(_ path: String) throws(FileError) {
    try check(path, "sync")
    disk.world.pass(disk.syncTime.inNanoseconds)
    try disk.strike(.sync, path)
    switch try disk.node(path, "sync") {
    case .directory(let directory): disk.unsyncedNames.removeAll { $0.concerns(directory) }
    case .file: throw FileError(.notADirectory, path: path, operation: "sync")
    case nil: throw FileError(.notFound, path: path, operation: "sync")
    }
  }

  /// One after the other, in the time of one.
  func sync(_ files: [any File]) -> [FileError?] {
    defer { disk.isSyncJoined = false }
    return files.enumerated().map { index, file in
      disk.isSyncJoined = index > 0
      do throws(FileError) {
        try file.sync()
        return nil
      } catch {
        return error
      }
    }
  }

  func lock(_ path: String, holder: String) throws(FileError) -> any FileLock {
    try check(path, "lock")
    let node = try file(path, .readWrite, "lock")
    try disk.lock(path, node, for: process)
    node.content = Array(holder.utf8)
    return SimulatedLock(path, node, on: disk, for: process)
  }

  func lockHolder(_ path: String) throws(FileError) -> String? {
    try check(path, "ask for the lock of")
    guard case .file(let node)? = try disk.node(path, "ask for the lock of"), disk.isLocked(node) else { return nil }
    return String(decoding: node.content, as: UTF8.self)
  }
}
