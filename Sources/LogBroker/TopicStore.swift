import Groundwork
import KafkaProtocol
import LogStorage
import SystemInterfaces

/// A topic and its logs.
final class Topic {
  let name: String
  let id: UUID128
  var overrides: [String: String]
  var logs: [PartitionLog]

  init(name: String, id: UUID128, overrides: [String: String], logs: [PartitionLog]) {
    self.name = name
    self.id = id
    self.overrides = overrides
    self.logs = logs
  }

  func log(_ partition: Int32) -> PartitionLog? {
    partition >= 0 && Int(partition) < logs.count ? logs[Int(partition)] : nil
  }
}

/// The topics of a broker: the catalog and the logs, kept in step. State confined to the broker's loop.
final class TopicStore {
  private let configuration: BrokerConfiguration
  private let environment: LogEnvironment
  private let catalog: TopicCatalog
  private let randomness: any Randomness
  private var byName: [String: Topic] = [:]
  private var byID: [UUID128: Topic] = [:]

  /// Opens the catalog and all logs.
  /// - Parameter report: hears what recoveries had to do.
  init(
    _ configuration: BrokerConfiguration, _ environment: LogEnvironment, randomness: any Randomness, now: Timestamp,
    report: (BrokerLogLine.Level, String) -> Void
  ) throws(LogError) {
    self.configuration = configuration
    self.environment = environment
    self.randomness = randomness
    let directory = configuration.dataDirectory
    let (catalog, cut) = try TopicCatalog.open(DataFolder.catalogPath(directory), in: environment.files)
    if cut > 0 { report(.warning, "the list of topics had a torn tail: \(cut) bytes were cut off") }
    self.catalog = catalog
    if catalog.clusterID == nil { try catalog.setClusterID(TopicStore.makeClusterID(randomness)) }
    for description in catalog.topics.values.sorted(by: { $0.name < $1.name }) {
      let topic = Topic(name: description.name, id: description.id, overrides: description.overrides, logs: [])
      let settings = try configuration.topicDefaults.applying(description.overrides)
      for partition in 0..<description.partitionCount {
        let path = DataFolder.partitionPath(directory, description.name, partition)
        let (log, recovery) = try PartitionLog.open(path, settings, environment, now: now)
        topic.logs.append(log)
        if let reason = recovery.cutReason {
          report(
            .warning,
            "\(description.name)-\(partition): \(recovery.cutBytes) bytes were cut off, \(reason); "
              + "the log ends at offset \(log.endOffset)")
        }
      }
      add(topic)
    }
  }

  private func add(_ topic: Topic) {
    byName[topic.name] = topic
    byID[topic.id] = topic
  }

  var clusterID: String { catalog.clusterID ?? "" }
  var all: [Topic] { byName.values.sorted { $0.name < $1.name } }
  var partitionCount: Int { byName.values.reduce(0) { $0 + $1.logs.count } }
  subscript(name: String) -> Topic? { byName[name] }
  subscript(id: UUID128) -> Topic? { byID[id] }
  func settings(of topic: Topic) -> LogConfiguration {
    (try? configuration.topicDefaults.applying(topic.overrides)) ?? configuration.topicDefaults
  }

  /// Makes a topic; its name, count and settings have been validated.
  func create(_ name: String, partitionCount: Int, overrides: [String: String], now: Timestamp) throws(LogError)
    -> Topic
  {
    let settings = try configuration.topicDefaults.applying(overrides)
    let id = UUID128(high: randomness.next() | 1, low: randomness.next())
    let topic = Topic(name: name, id: id, overrides: overrides, logs: [])
    topic.logs = try openNew(name, 0..<partitionCount, settings, now: now)
    try catalog.put(
      TopicDescription(name: name, id: id, partitionCount: partitionCount, overrides: overrides))
    add(topic)
    return topic
  }

  /// Gives a topic more partitions.
  func grow(_ topic: Topic, to count: Int, now: Timestamp) throws(LogError) {
    let added = try openNew(topic.name, topic.logs.count..<count, settings(of: topic), now: now)
    try catalog.put(
      TopicDescription(name: topic.name, id: topic.id, partitionCount: count, overrides: topic.overrides))
    topic.logs += added
  }

  /// Opens empty logs. What an earlier topic of the same name has left behind is removed first: a death may have come
  /// between its removal from the catalog and that of its files.
  private func openNew(
    _ name: String, _ partitions: Range<Int>, _ settings: LogConfiguration, now: Timestamp
  ) throws(LogError) -> [PartitionLog] {
    var logs: [PartitionLog] = []
    for partition in partitions {
      let path = DataFolder.partitionPath(configuration.dataDirectory, name, partition)
      do throws(FileError) { try environment.files.removeTree(path) } catch { throw LogError(error) }
      logs.append(try PartitionLog.open(path, settings, environment, now: now).log)
    }
    return logs
  }

  /// Removes a topic and its data.
  func delete(_ topic: Topic) throws(LogError) {
    try catalog.remove(topic.name)
    byName[topic.name] = nil
    byID[topic.id] = nil
    for (partition, log) in topic.logs.enumerated() {
      log.retire()
      let path = DataFolder.partitionPath(configuration.dataDirectory, topic.name, partition)
      do throws(FileError) { try environment.files.removeTree(path) } catch { throw LogError(error) }
    }
  }

  /// Kafka's rule for names: 1 to 249 of letters, digits, `.`, `_` and `-`, and neither `.` nor `..`.
  static func isValid(_ name: String) -> Bool {
    guard !name.isEmpty, name.utf8.count <= 249, name != ".", name != ".." else { return false }
    return name.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
  }

  /// 22 characters of URL-safe base 64, as Kafka's own.
  private static func makeClusterID(_ randomness: any Randomness) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    return String((0..<22).map { _ in alphabet[Int(randomness.next() % 64)] })
  }
}
