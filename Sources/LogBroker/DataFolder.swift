import Groundwork
import SystemInterfaces

/// Who has a broker's data folder, as its lock file tells it: `pid 4711 at 127.0.0.1:9092`.
public struct BrokerHolder: Sendable, Equatable {
  /// The process that runs the broker, as the operating system numbers it.
  public var processID: Int
  /// Where it serves; nil while it starts.
  public var address: Address?

  /// What the lock file is to say; `address` nil while the broker starts.
  public init(processID: Int, address: Address?) {
    self.processID = processID
    self.address = address
  }

  /// Reads the text of a lock file; nil where it is none of ours.
  public init?(text: String) {
    let words = text.split(separator: " ")
    guard words.count >= 2, words[0] == "pid", let processID = Int(words[1]) else { return nil }
    self.processID = processID
    if words.count == 4, words[2] == "at" { address = Address(text: String(words[3])) }
  }

  /// The text of the lock file.
  public var text: String { "pid \(processID)" + (address.map { " at \($0)" } ?? " starting") }

  /// The last holder of the data folder, or nil where there was none or it ended in order.
  ///
  /// It may have died since: whoever connects finds out.
  public static func read(ofFolder directory: String, in files: any FileStore) -> BrokerHolder? {
    guard let content = try? files.contents(of: DataFolder.lockPath(directory)) else { return nil }
    return BrokerHolder(text: String(content))
  }
}

/// Names in the data folder.
enum DataFolder {
  static func lockPath(_ directory: String) -> String { directory + "/lock" }
  static func catalogPath(_ directory: String) -> String { directory + "/topics.journal" }
  static func offsetsPath(_ directory: String) -> String { directory + "/offsets.journal" }
  static func producerIDsPath(_ directory: String) -> String { directory + "/producer-ids.journal" }
  static func transactionsPath(_ directory: String) -> String { directory + "/transactions.journal" }
  static func topicsPath(_ directory: String) -> String { directory + "/topics" }
  static func partitionPath(_ directory: String, _ topic: String, _ partition: Int) -> String {
    "\(topicsPath(directory))/\(topic)-\(partition)"
  }
}
