import Groundwork
import Journals
import SystemInterfaces

/// Brings the files of an output folder into the state that its manifest says.
enum FolderRecovery {
  /// Takes the folder over from whoever wrote there last.
  static func takeOver(
    _ settings: FolderWriter.Settings, in files: any FileStore, log: @Sendable (String) -> Void
  ) throws -> FolderManifest {
    let folder = settings.folder
    var superseded: [OutputFile] = []
    let manifest = try FolderManifest.takeOver(
      folder, job: settings.job, processID: settings.processID, in: files, limits: settings.limits
    ) {
      predecessor, epoch in
      guard let predecessor else { return nil }
      if predecessor.tailBytes > 0 {
        log("\(folder): the manifest had a torn end of \(predecessor.tailBytes) bytes, which no batch was decided by")
      }
      var state = predecessor.state
      for file in state.files(.open) {
        let prepared = state.prepared?.files.first { $0.number == file.number }?.length
        guard prepared ?? file.length > 0 else {
          // Made by a batch that nobody decided.
          if try files.attributes("\(folder)/\(file.hiddenPath)") != nil {
            try files.removeFile("\(folder)/\(file.hiddenPath)")
          }
          state.files[file.number] = nil
          continue
        }
        var wanted = file.length
        if let prepared {
          // A power loss may have left less of it, before it was decided; if it was, `recover` says that it is damaged.
          let size = try files.attributes("\(folder)/\(file.hiddenPath)")?.size ?? 0
          wanted = max(wanted, min(prepared, size))
        }
        if predecessor.isDead {
          try cut(file, to: wanted, folder, files)
        } else {
          log("\(folder): \(file.path) is copied, since a writer before this one may still have it open")
          state.files[file.number] = try copy(file, wanted, epoch, folder, files)
          superseded.append(file)
        }
      }
      return state
    }
    // Only now, when the manifest names the copies for good.
    for file in superseded { try files.removeTree("\(folder)/\(file.hiddenPath)") }
    let closed = manifest.state.files(.closed)
    if !closed.isEmpty {
      try place(closed, folder, files)
      try manifest.append(.placed(epoch: manifest.epoch, closed.map(\.number)), sync: false)
    }
    return manifest
  }

  /// Cuts an open file to its first `length` bytes, durably.
  static func cut(_ file: OutputFile, to length: Int64, _ folder: String, _ files: any FileStore) throws {
    let path = "\(folder)/\(file.hiddenPath)"
    guard try files.attributes(path) != nil else {
      throw FileStreamingError.damagedFile(path, reason: "it is gone; \(length) bytes of it were committed")
    }
    let handle = try files.open(path, .readWrite)
    let size = try handle.size()
    guard size >= length else {
      throw FileStreamingError.damagedFile(path, reason: "it has \(size) bytes, \(length) were committed")
    }
    guard size > length else { return }
    try handle.truncate(to: length)
    try handle.sync()
  }

  /// Copies the first `length` bytes of an open file into one of this epoch, whose name is in the manifest that begins then.
  private static func copy(
    _ file: OutputFile, _ length: Int64, _ epoch: Int64, _ folder: String, _ files: any FileStore
  ) throws -> OutputFile {
    var new = file
    // `part-00007-00000042.txt`: the epoch stands between the dashes.
    let parts = file.name.split(separator: "-", maxSplits: 2)
    let digits = String(epoch)
    new.name = "part-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + "-" + (parts.last ?? "")
    let path = "\(folder)/\(file.hiddenPath)"
    guard try files.attributes(path) != nil else {
      throw FileStreamingError.damagedFile(path, reason: "it is gone; \(length) bytes of it were committed")
    }
    let source = try files.open(path, .read)
    let target = try files.open("\(folder)/\(new.hiddenPath)", .create)
    var position: Int64 = 0
    var crc = CRC32C()
    while position < length {
      let bytes = try source.read(at: position, count: Int(min(1 << 20, length - position)))
      guard !bytes.isEmpty else {
        throw FileStreamingError.damagedFile(path, reason: "it has \(position) bytes, \(length) were committed")
      }
      if position < file.length, position + Int64(bytes.count) > file.length {
        crc.add(bytes[0..<Int(file.length - position)])
      } else if position < file.length {
        crc.add(bytes)
      }
      try target.write(at: position, bytes)
      position += Int64(bytes.count)
    }
    guard crc.value == file.crc else {
      throw FileStreamingError.damagedFile(path, reason: "its checksum is another than that of what was committed")
    }
    try target.sync()
    let directory = file.directory.isEmpty ? folder : "\(folder)/\(file.directory)"
    try files.syncDirectory(directory)
    return new
  }

  /// Gives complete files their final names, durably; those that have them already stay.
  static func place(_ closed: [OutputFile], _ folder: String, _ files: any FileStore) throws {
    var directories: Set<String> = []
    for file in closed {
      let hidden = "\(folder)/\(file.hiddenPath)"
      let final = "\(folder)/\(file.path)"
      if let attributes = try files.attributes(hidden) {
        guard attributes.size >= file.length else {
          throw FileStreamingError.damagedFile(
            hidden, reason: "it has \(attributes.size) bytes, \(file.length) were committed")
        }
        if attributes.size > file.length { try cut(file, to: file.length, folder, files) }
        try files.rename(hidden, to: final)
      } else {
        let size = try files.attributes(final)?.size
        guard size == file.length else {
          throw FileStreamingError.damagedFile(
            final, reason: "it " + (size.map { "has \($0) bytes" } ?? "is gone") + ", \(file.length) were committed")
        }
      }
      directories.insert(file.directory.isEmpty ? folder : "\(folder)/\(file.directory)")
    }
    for directory in directories.sorted() { try files.syncDirectory(directory) }
  }
}
