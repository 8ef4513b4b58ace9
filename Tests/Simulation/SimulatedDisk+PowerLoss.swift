import Groundwork

extension SimulatedDisk {
  /// Takes back, in part, what was not synced. The processes must be dead: `SimulatedWorld.losePower` sees to both.
  public func losePower() {
    world.note("power loss on \(name)")
    undoNames()
    let files = allFiles()
    for file in files {
      file.isLinked = true
      settle(file)
    }
    usedBytes = files.reduce(0) { $0 + Int64($1.content.count) }
  }

  /// A journaling file system keeps the order of names: a random number of the oldest changes survives.
  private func undoNames() {
    let kept = Int.random(in: 0...unsyncedNames.count, using: &random)
    for change in unsyncedNames[kept...].reversed() {
      switch change {
      case .make(let directory, let name, _):
        directory.entries[name] = nil
      case .remove(let directory, let name, let node):
        if directory.entries[name] == nil { directory.entries[name] = node }
      case .rename(let from, let oldName, let to, let newName, let node, let replaced):
        to.entries[newName] = replaced
        from.entries[oldName] = node
      }
    }
    unsyncedNames = []
  }

  /// In the order of their names.
  func allFiles() -> [FileNode] {
    var files: [FileNode] = []
    collectFiles(root, into: &files)
    return files
  }

  private func collectFiles(_ directory: Directory, into files: inout [FileNode]) {
    for name in directory.entries.keys.sorted() {
      switch directory.entries[name] {
      case .file(let file): files.append(file)
      case .directory(let inner): collectFiles(inner, into: &files)
      case nil: break
      }
    }
  }

  /// Back to the synced content, then some of the changes again: most often the first few, the last of them torn;
  /// sometimes any, as when the disk wrote them in another order: what was never written reads as zeros.
  private func settle(_ file: FileNode) {
    let changes = file.unsynced
    guard !changes.isEmpty else { return }
    for change in changes.reversed() {
      switch change {
      case .write(let position, _, let before, let sizeBefore):
        file.content.removeSubrange(min(sizeBefore, file.content.count)...)
        file.content.replaceSubrange(position..<(position + before.count), with: before)
      case .resize(_, let sizeBefore, let tail):
        if file.content.count > sizeBefore {
          file.content.removeSubrange(sizeBefore...)
        } else {
          file.content += tail
        }
      }
    }
    file.unsynced = []
    let inOrder = random.next() & 3 != 0
    let kept = Int.random(in: 0...changes.count, using: &random)
    for (index, change) in changes.enumerated() {
      if inOrder ? index > kept : random.next() & 1 == 0 { continue }
      apply(change, to: file, torn: inOrder && index == kept)
    }
  }

  private func apply(_ change: FileNode.Change, to file: FileNode, torn: Bool) {
    switch change {
    case .write(let position, let bytes, _, _):
      let count = torn ? Int.random(in: 0...bytes.count, using: &random) : bytes.count
      guard count > 0 else { return }
      file.overwrite(at: position, bytes[..<count])
    case .resize(let size, _, _):
      if torn, random.next() & 1 == 0 { return }
      file.resize(to: size)
    }
  }
}

extension FileNode {
  func overwrite(at position: Int, _ bytes: ArraySlice<UInt8>) {
    if position > content.count { resize(to: position) }
    let end = min(position + bytes.count, content.count)
    content.replaceSubrange(position..<end, with: bytes)
  }

  func resize(to size: Int) {
    if size < content.count {
      content.removeSubrange(size...)
    } else {
      content += [UInt8](repeating: 0, count: size - content.count)
    }
  }
}
