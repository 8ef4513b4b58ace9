import Groundwork
import KafkaClients
import KafkaProtocol
import Sluice

/// `sluice transactions list`.
enum TransactionsList: Command {
  static let spec = CommandSpec(
    name: "sluice transactions list", summary: "Lists transactional ids with the state of their transactions.",
    options: [
      .repeated(
        "state", "STATE", "only those in this state",
        format: .choice(["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"])),
      .value("running-longer-than", "DURATION", "only transactions open for longer than this", format: .duration),
    ] + ClientOptions.standard,
    examples: [
      .init("sluice transactions list", "all that the broker knows"),
      .init("sluice transactions list --state Ongoing --running-longer-than 5m", "those that hold up readers"),
    ])
}

/// `sluice transactions describe`.
enum TransactionsDescribe: Command {
  static let spec = CommandSpec(
    name: "sluice transactions describe", summary: "Shows a transactional id, or the producers of a topic.",
    discussion: """
      With --transactional-id: its producer, the state of its transaction, and the partitions in it. With --topic: who \
      writes to the topic with a producer id, and where open transactions begin; readers of committed records wait there.
      """,
    options: [
      .value("transactional-id", "ID", "the id, as the producer was set up with it"),
      .value("topic", "TOPIC", "the topic whose producers to show", short: "t"),
    ] + ClientOptions.standard,
    examples: [
      .init("sluice transactions describe --transactional-id totals-0", "one id"),
      .init("sluice transactions describe --topic totals", "the topic's producers, with open transactions"),
    ])
}

/// `sluice transactions abort`.
enum TransactionsAbort: Command {
  static let spec = CommandSpec(
    name: "sluice transactions abort", summary: "Ends a transaction that nobody will end, in one partition.",
    discussion: """
      For a transaction that hangs: one that its coordinator no longer knows, so that readers of committed records wait \
      at its first record for ever. It writes an abort marker for the producer whose transaction begins at \
      --start-offset. A transaction that its producer is still at work on belongs to that producer: start another one \
      with the same transactional id instead.
      """,
    options: [
      ClientOptions.topic,
      .value("partition", "N", "the partition", short: "p", required: true, format: .integer(0...Int(Int32.max))),
      .value(
        "start-offset", "OFFSET", "where the transaction begins, as `describe --topic` shows it", required: true,
        format: .integer(0...Int.max)),
    ] + ClientOptions.standard,
    examples: [
      .init("sluice transactions abort --topic totals --partition 0 --start-offset 4711", "readers go on behind it")
    ])
}

extension TransactionsList {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let states = try options.all("state")
    let age = try options.duration("running-longer-than")
    let session = try Session(options, process)
    defer { session.close(process) }
    let found = try process.wait { Admin(session.client).listTransactions(states: states, olderThan: age, then: $0) }
    var table = TextTable([
      ("transactional id", .left), ("producer id", .right), ("state", .left), ("coordinator", .right),
    ])
    for listing in found {
      table.add([listing.transactionalID, "\(listing.producerID)", listing.state, "\(listing.coordinator)"])
    }
    if !found.isEmpty { process.show(table.text) }
    return ExitCode.success
  }
}

extension TransactionsDescribe {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let id = try options.string("transactional-id")
    let topic = try options.string("topic")
    guard (id == nil) != (topic == nil) else {
      throw CommandError(
        "give either --transactional-id or --topic. See `sluice transactions describe --help`",
        exitCode: ExitCode.usage)
    }
    let session = try Session(options, process)
    defer { session.close(process) }
    if let id { try show(id, session, process) } else if let topic { try showProducers(topic, session, process) }
    return ExitCode.success
  }

  private static func show(_ id: String, _ session: Session, _ process: CommandProcess) throws {
    let found: Admin.TransactionDescription
    do {
      found = try process.wait { Admin(session.client).describeTransaction(id, then: $0) }
    } catch let error as ClientError where error.kafkaCode == .transactionalIDNotFound {
      throw CommandError("no transactional id \(id) is known: see `sluice transactions list`")
    }
    process.show("transactional id \(id): \(found.state)\n")
    var lines = [
      ("producer id", "\(found.producer.id)"), ("epoch", "\(found.producer.epoch)"),
      ("coordinator", "\(found.coordinator)"), ("timeout", found.timeout.text),
    ]
    if let started = found.startedAt { lines.append(("open since", "\(started)")) }
    var topics: [(name: String, partitions: [String])] = []
    for partition in found.partitions {
      if topics.last?.name != partition.topic { topics.append((partition.topic, [])) }
      topics[topics.count - 1].partitions.append("\(partition.partition)")
    }
    for topic in topics { lines.append((topic.name, "partitions \(topic.partitions.joined(separator: ", "))")) }
    let width = lines.reduce(0) { max($0, $1.0.count) }
    for (name, value) in lines {
      process.show("  \(name)\(String(repeating: " ", count: width - name.count))  \(value)\n")
    }
  }

  private static func showProducers(_ topic: String, _ session: Session, _ process: CommandProcess) throws {
    let admin = Admin(session.client)
    let described = try process.wait { admin.describe([topic], then: $0) }
    var table = TextTable([
      ("partition", .right), ("producer id", .right), ("epoch", .right), ("last sequence", .right),
      ("last write", .left), ("transaction begins at", .right),
    ])
    var count = 0
    for partition in described.flatMap(\.partitions) {
      let producers = try process.wait { admin.describeProducers(TopicPartition(topic, partition.index), then: $0) }
      for producer in producers {
        count += 1
        table.add([
          "\(partition.index)", "\(producer.producer.id)", "\(producer.producer.epoch)",
          producer.lastSequence < 0 ? "-" : "\(producer.lastSequence)",
          producer.lastWrittenAt.map { "\($0)" } ?? "-", producer.transactionStart.map { "\($0)" } ?? "-",
        ])
      }
    }
    process.show(count == 0 ? "no idempotent or transactional producer writes to \(topic)\n" : table.text)
  }
}

extension TransactionsAbort {
  static func run(_ options: Options, _ process: CommandProcess) throws -> Int32 {
    let topic = try options.required("topic")
    let partition = TopicPartition(topic, PartitionIndex(Int32(try options.int("partition") ?? 0)))
    let offset = Offset(Int64(try options.int("start-offset") ?? 0))
    let session = try Session(options, process)
    defer { session.close(process) }
    let admin = Admin(session.client)
    let open = try process.wait { admin.describeProducers(partition, then: $0) }.filter { $0.transactionStart != nil }
    guard let found = open.first(where: { $0.transactionStart == offset }) else {
      let begins = open.compactMap { $0.transactionStart.map { "\($0)" } }.joined(separator: ", ")
      throw CommandError(
        "no open transaction of \(partition) begins at offset \(offset): "
          + (open.isEmpty ? "none is open there" : "those that are open begin at \(begins)"))
    }
    try process.wait {
      admin.abortTransaction(
        partition, producer: found.producer, coordinatorEpoch: found.coordinatorEpoch, then: $0)
    }
    process.show(
      "aborted the transaction of producer \(found.producer.id) in \(partition), from offset \(offset) on\n")
    return ExitCode.success
  }
}
