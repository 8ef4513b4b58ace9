import Groundwork
import SystemInterfaces

/// A file as it was when it was chosen: of a file that grows later, no more is read.
public struct InputFile: Sendable, Hashable {
  /// Where it stands.
  public var path: String
  /// Its bytes.
  public var size: Int64
  /// When it was written last.
  public var modified: Timestamp

  public init(path: String, size: Int64, modified: Timestamp) {
    self.path = path
    self.size = size
    self.modified = modified
  }

  /// `123 1357002000000 /in/a.txt`: size in bytes, time of modification in milliseconds since 1970, path. Line feeds and
  /// backslashes of the path are written as `\n` and `\\`.
  public var text: String {
    var escaped = ""
    for character in path.unicodeScalars {
      switch character {
      case "\n": escaped += "\\n"
      case "\\": escaped += "\\\\"
      default: escaped.unicodeScalars.append(character)
      }
    }
    return "\(size) \(modified.milliseconds) \(escaped)"
  }

  /// Reads `text`; nil where it is anything else.
  public init?(text: String) {
    let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, let size = Int64(parts[0]), size >= 0, let modified = Int64(parts[1]) else { return nil }
    var path = ""
    var isEscaped = false
    for character in parts[2].unicodeScalars {
      if isEscaped {
        path.unicodeScalars.append(character == "n" ? "\n" : character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else {
        path.unicodeScalars.append(character)
      }
    }
    self.init(path: path, size: size, modified: Timestamp(milliseconds: modified))
  }

  /// The files that paths, patterns or folders stand for: each path's in the order of names, of a folder those directly
  /// in it. Names that begin with `.` or `_` are left out, unless a path without wildcards says them.
  /// - Throws: `FileStreamingError.noInput` where one of the paths stands for nothing, `folderInFolder`, `FileError`.
  static func find(_ paths: [String], in files: any FileStore) throws -> [InputFile] {
    var found: [InputFile] = []
    for pattern in paths {
      var isSomething = false
      for path in try PathPattern.paths(pattern, in: files) {
        guard let attributes = try files.attributes(path) else { continue }
        isSomething = true
        if !attributes.isDirectory {
          found.append(InputFile(path: path, size: attributes.size, modified: attributes.modified))
          continue
        }
        for name in try files.list(path) where !PathPattern.isHidden(name) {
          let inside = path.hasSuffix("/") ? path + name : "\(path)/\(name)"
          guard let attributes = try files.attributes(inside) else { continue }
          guard !attributes.isDirectory else { throw FileStreamingError.folderInFolder(inside) }
          found.append(InputFile(path: inside, size: attributes.size, modified: attributes.modified))
        }
      }
      guard isSomething else { throw FileStreamingError.noInput(pattern) }
    }
    return found
  }

  /// Opens the file for reading and makes sure that it still has what it had.
  func open(in files: any FileStore) throws -> any File {
    let file: any File
    do { file = try files.open(path, .read) } catch {
      if error.code == .notFound { throw FileStreamingError.fileChanged(path) }
      throw error
    }
    guard try file.size() >= size else { throw FileStreamingError.fileChanged(path) }
    return file
  }

  /// The whole content as it was chosen.
  func contents(in files: any FileStore) throws -> Bytes {
    let content = try open(in: files).read(at: 0, count: Int(size))
    guard content.count == Int(size) else { throw FileStreamingError.fileChanged(path) }
    return content
  }
}
