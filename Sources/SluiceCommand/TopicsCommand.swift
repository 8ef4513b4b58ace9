import Groundwork
import KafkaClients
import Sluice

/// `sluice topics list`.
enum TopicsList: Command {
  static let spec = CommandSpec(
    name: "sluice topics list", summary: "Lists topics, a name a line.", options: ClientOptions.standard,
    examples: [.init("sluice topics list -b localhost:9092", "the topics of a broker")])
}

/// `sluice topics create`.
enum TopicsCreate: Command {
  static let spec = CommandSpec(
    name: "sluice topics create", summary: "Creates a topic.",
    options: [
      ClientOptions.topic,
      .value("partitions", "N", "partitions", short: "p", default: "1", format: .integer(1...100_000)),
      .value(
        "replication-factor", "N", "copies of each partition (default: what the broker has set)",
        format: .integer(1...32_767)),
      .repeated("config", "KEY=VALUE", "a setting of the topic, such as retention.ms=86400000", format: .keyValue),
      .flag("if-not-exists", "fine if it is there already"),
    ] + ClientOptions.standard,
    examples: [
      .init("sluice topics create --topic flights --partitions 4", "four partitions, in the embedded broker"),
      .init(
        "sluice topics create -b localhost:9092 --topic state --config cleanup.policy=compact", "a compacted topic"),
    ])
}

/// `sluice topics describe`.
enum TopicsDescribe: Command {
  static let spec = CommandSpec(
    name: "sluice topics describe", summary: "Shows a topic's partitions with their offsets, and its settings.",
    options: [.value("topic", "TOPIC", "the topic (default: all)", short: "t")] + ClientOptions.standard,
    examples: [.init("sluice topics describe --topic flights", "partitions, offsets, settings")])
}

/// `sluice topics delete`.
enum TopicsDelete: Command {
  static let spec = CommandSpec(
    name: "sluice topics delete", summary: "Deletes a topic and its records.",
    options: [ClientOptions.topic, .flag("if-exists", "fine if there is no such topic")] + ClientOptions.standard,
    examples: [.init("sluice topics delete --topic flights", "gone, with its records")])
}

extension TopicsList {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let session = try Session(options, process)
    defer { session.close(process) }
    let topics = try process.wait { Admin(session.client).listTopics(then: $0) }
    process.show(topics.map { $0.name + "\n" }.joined())
    return ExitCode.success
  }
}

extension TopicsCreate {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let name = try options.required("topic")
    let settings = try options.properties("config").sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    let topic = Admin.NewTopic(
      name, partitions: Int32(try options.int("partitions") ?? 1),
      replicationFactor: Int16(try options.int("replication-factor") ?? -1), settings: settings)
    let session = try Session(options, process)
    defer { session.close(process) }
    do {
      try process.wait { Admin(session.client).createTopics([topic], then: $0) }
    } catch let error as ClientError {
      guard error.kafkaCode == .topicAlreadyExists else { throw error }
      if try options.flag("if-not-exists") {
        process.show("topic \(name) is there already\n")
        return ExitCode.success
      }
      throw CommandError("topic \(name) exists already: delete it first, or add --if-not-exists")
    }
    process.show("created topic \(name) with \(topic.partitions) partition\(topic.partitions == 1 ? "" : "s")\n")
    return ExitCode.success
  }
}

extension TopicsDescribe {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let session = try Session(options, process)
    defer { session.close(process) }
    let admin = Admin(session.client)
    let topics: [ClusterMetadata.Topic]
    if let name = try options.string("topic") {
      topics = try process.wait { admin.describe([name], then: $0) }
    } else {
      topics = try process.wait { admin.listTopics(then: $0) }
    }
    for (index, topic) in topics.enumerated() {
      if index > 0 { process.show("\n") }
      try show(topic, session, process)
    }
    return ExitCode.success
  }

  private static func show(_ topic: ClusterMetadata.Topic, _ session: Session, _ process: CommandProcess) throws {
    let names = topic.partitions.map { TopicPartition(topic.name, $0.index) }
    let offsets = Offsets(session.client)
    func list(_ position: Offsets.Position) throws -> [TopicPartition: Offsets.Listed] {
      let asked = Dictionary(uniqueKeysWithValues: names.map { ($0, position) })
      return try process.wait { offsets.list(asked, then: $0) }
    }
    let first = try list(.earliest)
    let next = try list(.latest)
    let settings = try process.wait { Admin(session.client).describeConfigs(.topic(topic.name), then: $0) }

    let count = topic.partitions.count
    process.show(
      "topic \(topic.name): \(count) partition\(count == 1 ? "" : "s")\(topic.isInternal ? ", internal" : "")\n")
    var table = TextTable([
      ("  partition", .right), ("first offset", .right), ("next offset", .right), ("leader", .right),
      ("replicas", .left),
      ("in sync", .left),
    ])
    for partition in topic.partitions {
      let name = TopicPartition(topic.name, partition.index)
      table.add([
        partition.index.description, first[name].map { $0.offset.description } ?? "-",
        next[name].map { $0.offset.description } ?? "-", partition.leader < 0 ? "none" : String(partition.leader),
        partition.replicas.map(String.init).joined(separator: ","),
        partition.inSyncReplicas.map(String.init).joined(separator: ","),
      ])
    }
    process.show(table.text)
    let set = settings.filter { !$0.isDefault }
    if !set.isEmpty {
      process.show("  settings: \(set.map { "\($0.name)=\($0.value ?? "(secret)")" }.joined(separator: ", "))\n")
    }
  }
}

extension TopicsDelete {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let name = try options.required("topic")
    let session = try Session(options, process)
    defer { session.close(process) }
    let admin = Admin(session.client)
    do {
      try process.wait { admin.deleteTopics([name], then: $0) }
    } catch let error as ClientError {
      guard error.kafkaCode == .unknownTopicOrPartition, try options.flag("if-exists") else { throw error }
      process.show("there is no topic \(name)\n")
      return ExitCode.success
    }
    process.show("deleted topic \(name)\n")
    return ExitCode.success
  }
}
