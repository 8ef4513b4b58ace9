import LinuxSystem
import Sluice
import SystemInterfaces

/// Where and with what a figure was measured.
public enum Machine {
  /// The processor's name and how many of it there are, as the system tells.
  public static var description: String {
    let line = ProcFile.lines(of: "/proc/cpuinfo").first { $0.hasPrefix("model name") }
    let name =
      line?.split(separator: ":", maxSplits: 1).last.map { String($0.drop { $0 == " " }) } ?? "unknown processor"
    return "\(LiveWorld.processorCount) cores of \(name)"
  }

  /// The system's release.
  public static var kernel: String {
    "Linux \(ProcFile.lines(of: "/proc/sys/kernel/osrelease").first ?? "unknown")"
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
