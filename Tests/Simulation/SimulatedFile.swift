import Groundwork
import SystemInterfaces

/// An open file of a simulated process.
///
/// Sendable: confined to the thread of its world.
final class SimulatedFile: File, @unchecked Sendable {
  let path: String
  private let node: FileNode
  private let disk: SimulatedDisk
  private let process: SimulatedProcess
  private let isWritable: Bool

  init(_ path: String, _ node: FileNode, on disk: SimulatedDisk, for process: SimulatedProcess, isWritable: Bool) {
    self.path = path
    self.node = node
    self.disk = disk
    self.process = process
    self.isWritable = isWritable
  }

  /// A dead process reads and writes nothing (3: no such process), and who opened for reading does not write (9).
  private func check(_ operation: String, writing: Bool = false) throws(FileError) {
    guard process.isAlive else { throw FileError(.other(3), path: path, operation: operation) }
    if writing, !isWritable { throw FileError(.other(9), path: path, operation: operation) }
  }

  func size() throws(FileError) -> Int64 {
    try check("read")
    return Int64(node.content.count)
  }

  func read(at position: Int64, into: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
    try check("read")
    try disk.strike(.read, path)
    guard position >= 0, position < Int64(node.content.count) else { return 0 }
    let count = min(into.count, node.content.count - Int(position))
    node.content.withUnsafeBytes { content in
      into.copyMemory(from: UnsafeRawBufferPointer(rebasing: content[Int(position)..<(Int(position) + count)]))
    }
    return count
  }

  func write(at position: Int64, _ parts: [Bytes]) throws(FileError) {
    try check("write", writing: true)
    guard position >= 0, position < Int64(Int32.max) else {
      throw FileError(.other(22), path: path, operation: "write")
    }
    disk.writes += 1
    disk.world.pass(disk.writeTime.inNanoseconds)
    var bytes: [UInt8] = []
    for part in parts { bytes += part }
    let start = Int(position)
    if let fault = disk.faultDue(.write, path) {
      if fault.isTorn, !bytes.isEmpty {
        put(bytes[..<Int.random(in: 0..<bytes.count, using: &disk.random)], at: start)
      }
      throw FileError(fault.code, path: path, operation: "write")
    }
    let growth = max(0, start + bytes.count - node.content.count)
    if let capacity = disk.capacity, node.isLinked, disk.usedBytes + Int64(growth) > capacity {
      let fitting = max(0, bytes.count - growth + Int(max(0, capacity - disk.usedBytes)))
      put(bytes[..<min(fitting, bytes.count)], at: start)
      throw FileError(.diskFull, path: path, operation: "write")
    }
    put(bytes[...], at: start)
  }

  private func put(_ bytes: ArraySlice<UInt8>, at position: Int) {
    guard !bytes.isEmpty else { return }
    let sizeBefore = node.content.count
    let covered = position < sizeBefore ? Array(node.content[position..<min(sizeBefore, position + bytes.count)]) : []
    if position > sizeBefore {
      node.unsynced.append(.resize(size: position, sizeBefore: sizeBefore, tail: []))
      node.resize(to: position)
    }
    node.unsynced.append(
      .write(position: position, bytes: Array(bytes), before: covered, sizeBefore: node.content.count))
    node.overwrite(at: position, bytes)
    changed(sizeBefore)
  }

  private func changed(_ sizeBefore: Int) {
    if node.isLinked { disk.usedBytes += Int64(node.content.count - sizeBefore) }
    node.modified = disk.world.wallTime
  }

  func truncate(to size: Int64) throws(FileError) {
    try check("truncate", writing: true)
    try disk.strike(.truncate, path)
    guard size >= 0, size < Int64(Int32.max) else { throw FileError(.other(22), path: path, operation: "truncate") }
    let sizeBefore = node.content.count
    let tail = Int(size) < sizeBefore ? Array(node.content[Int(size)...]) : []
    node.unsynced.append(.resize(size: Int(size), sizeBefore: sizeBefore, tail: tail))
    node.resize(to: Int(size))
    changed(sizeBefore)
  }

  func sync() throws(FileError) {
    try check("sync")
    disk.syncs += 1
    if !disk.isSyncJoined {
      disk.syncWaits += 1
      disk.world.pass(disk.syncTime.inNanoseconds)
    }
    try disk.strike(.sync, path)
    node.unsynced = []
  }
}

/// A lock held by a simulated process.
///
/// Sendable: confined to the thread of its world.
final class SimulatedLock: FileLock, @unchecked Sendable {
  private let node: FileNode
  private let disk: SimulatedDisk
  private let process: SimulatedProcess
  private let path: String
  private var isHeld = true

  init(_ path: String, _ node: FileNode, on disk: SimulatedDisk, for process: SimulatedProcess) {
    self.path = path
    self.node = node
    self.disk = disk
    self.process = process
  }

  func update(holder: String) throws(FileError) {
    guard process.isAlive, isHeld else { throw FileError(.other(3), path: path, operation: "lock") }
    node.content = Array(holder.utf8)
  }

  func unlock() {
    guard isHeld else { return }
    isHeld = false
    if process.isAlive { disk.unlock(node) }
  }

  deinit { unlock() }
}
