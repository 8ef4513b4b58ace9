import Glibc
import LinuxSystem
import Sluice
import SystemInterfaces

/// Where and with what a figure was measured.
public enum Machine {
  /// The processor's name and how many of it there are, as the system tells.
  public static var description: String {
    let line = lines(of: "/proc/cpuinfo").first { $0.hasPrefix("model name") }
    let name =
      line?.split(separator: ":", maxSplits: 1).last.map { String($0.drop { $0 == " " }) } ?? "unknown processor"
    return "\(LiveWorld.processorCount) cores of \(name)"
  }

  /// The system's release.
  public static var kernel: String {
    "Linux \(lines(of: "/proc/sys/kernel/osrelease").first ?? "unknown")"
  }

  /// The first lines of a file that the kernel makes as it is read, and whose size says nothing.
  private static func lines(of path: String) -> [String] {
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

  /// What every file of results begins with.
  public static func facts(_ benchmark: String) -> [(String, JSON)] {
    [
      ("benchmark", .text(benchmark)), ("date", .text(LinuxClock().wallTime.description)),
      ("machine", .text(description)), ("system", .text(kernel)), ("sluice", .text(SluiceVersion.text)),
    ]
  }
}

/// The median of some numbers, the lower one of two; 0 of none.
public func median(_ values: [Double]) -> Double {
  values.isEmpty ? 0 : values.sorted()[(values.count - 1) / 2]
}
