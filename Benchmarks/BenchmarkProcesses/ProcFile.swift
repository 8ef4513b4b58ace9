import Glibc

/// Files that the kernel makes as they are read.
enum ProcFile {
  /// The first lines of a file, whose size says nothing; none where it cannot be read.
  static func lines(of path: String) -> [String] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var found: [String] = []
    var line = [CChar](repeating: 0, count: 4096)
    while found.count < 100, fgets(&line, 4096, file) != nil {
      let text = line.prefix { $0 != 0 && $0 != 10 }
      found.append(String(decoding: text.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
    return found
  }
}
