import Glibc

/// The text of a file of the Golden folder, which stands beside this one.
func goldenText(_ name: String, here: String = #filePath) throws -> String {
  let folder = here.split(separator: "/").dropLast().joined(separator: "/")
  guard let file = fopen("/\(folder)/Golden/\(name)", "r") else { throw GoldenFileMissing(name: name) }
  defer { fclose(file) }
  var content: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = fread(&chunk, 1, chunk.count, file)
    if count == 0 { break }
    content += chunk[..<count]
  }
  return String(decoding: content, as: UTF8.self)
}

struct GoldenFileMissing: Error { var name: String }
