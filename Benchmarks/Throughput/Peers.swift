import BenchmarkWorkload
import LinuxSystem

/// A program of somebody else, in its best configuration, which `Benchmarks/peers/run` has built.
struct Peer {
  var name: String
  var processes: Int
  var program: String
  /// Before the arguments that all of them take.
  private var first: [String] = []
  private var works: [Work]

  func does(_ work: Work) -> Bool { works.contains(work) }

  /// Every process reads its share of the partitions.
  func arguments(_ course: Course, _ work: Work, process: Int) -> [String] {
    let own = (0..<course.plan.partitions).filter { $0 % processes == process }
    // Every partition has the same count of batches, or one more.
    return first + [
      work.rawValue, "--bootstrap", course.broker.address, "--topic", Course.topic, "--partitions",
      own.map { "\($0)" }.joined(separator: ","),
    ]
  }

  /// Those that were built.
  /// - Parameter folder: where `Benchmarks/peers/run` puts them.
  static func found(in folder: String) throws -> [Peer] {
    let files = LinuxFileStore()
    var found: [Peer] = []
    let librdkafka = "\(folder)/librdkafka"
    if try files.attributes(librdkafka) != nil {
      for count in [1, 2] {
        found.append(
          Peer(
            name: "librdkafka", processes: count, program: librdkafka, first: ["consume"], works: [.count, .filter]))
      }
    }
    for name in ["bytewax", "quixstreams"] {
      let script = "\(folder)/\(name)_count.py"
      guard try files.attributes(script) != nil else { continue }
      found.append(
        Peer(
          name: name, processes: 2, program: "\(folder)/python/bin/python", first: [script],
          works: [.count, .filter, .words]))
    }
    return found
  }
}
