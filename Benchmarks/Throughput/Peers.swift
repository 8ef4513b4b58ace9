import BenchmarkProcesses
import BenchmarkWorkload
import LinuxSystem

/// A program of somebody else, in its best configuration, which `Benchmarks/peers/run` has built.
struct Peer {
  var name: String
  var processes: Int
  /// Whether it drains a topic with fewer records, and once: it would take minutes for all of them.
  var isSlow = false
  private var program: String
  /// Before the arguments that all of them take.
  private var first: [String] = []
  private var works: [Work]

  func does(_ work: Work) -> Bool { works.contains(work) }

  /// How one of its processes is started, which reads or writes its share of the partitions.
  /// - Parameters:
  ///   - records: of each partition.
  ///   - extra: arguments behind all others.
  func start(
    _ work: String, _ course: Course, topic: String, process: Int, records: [Int], extra: [String] = []
  ) throws -> MeasuredProcess {
    let own = records.indices.filter { $0 % processes == process }
    return try MeasuredProcess(
      program,
      first + [
        work, "--bootstrap", course.broker.address, "--topic", topic,
        "--partitions", own.map { "\($0)" }.joined(separator: ","),
        "--records", own.map { "\(records[$0])" }.joined(separator: ","),
      ] + extra, log: "\(course.folder)/\(name).log")
  }

  /// What they are and what they were compiled by, a line each.
  static func versions(in folder: String) throws -> [String] {
    let path = "\(folder)/versions"
    guard try LinuxFileStore().attributes(path) != nil else { return [] }
    return String(try LinuxFileStore().contents(of: path)).split(separator: "\n").map { String($0) }
  }

  /// Those that were built.
  /// - Parameter folder: where `Benchmarks/peers/run` puts them.
  static func found(in folder: String) throws -> [Peer] {
    let files = LinuxFileStore()
    var found: [Peer] = []
    let librdkafka = "\(folder)/librdkafka"
    if try files.attributes(librdkafka) != nil {
      found += [1, 2].map {
        Peer(name: "librdkafka", processes: $0, program: librdkafka, works: [.count, .filter, .copy])
      }
    }
    // quixstreams shares partitions by its group only.
    for (name, processes, works) in [
      ("bytewax", 2, [Work.count, .filter, .words]), ("quixstreams", 1, [.count, .filter]),
    ] {
      let script = "\(folder)/\(name)_count.py"
      guard try files.attributes(script) != nil else { continue }
      found.append(
        Peer(
          name: name, processes: processes, isSlow: true, program: "\(folder)/python/bin/python", first: [script],
          works: works))
    }
    return found
  }
}
