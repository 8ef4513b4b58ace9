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
    var request = ListTransactionsRequest()
    request.stateFilters = try options.all("state")
    request.durationFilter = try options.duration("running-longer-than")?.inMilliseconds ?? -1
    let session = try Session(options, process)
    defer { session.close(process) }
    let client = session.client
    // Version 0 cannot ask for a duration.
    let versions: ClosedRange<Int16> = request.durationFilter < 0 ? 0...1 : 1...1
    let sent = request
    let metadata = try process.wait { client.metadata(for: [], then: $0) }
    var table = TextTable([
      ("transactional id", .left), ("producer id", .right), ("state", .left), ("coordinator", .right),
    ])
    var rows: [(id: String, cells: [String])] = []
    for broker in metadata.brokers.keys.sorted() {
      let answer = try process.wait { client.send(sent, to: .broker(broker), versions: versions, then: $0) }
      try Transactions.check(answer.errorCode, "listing the transactions of broker \(broker)")
      for state in answer.transactionStates {
        rows.append(
          (
            state.transactionalID,
            [state.transactionalID, String(state.producerID), state.transactionState, String(broker)]
          ))
      }
    }
    for row in rows.sorted(by: { $0.id < $1.id }) { table.add(row.cells) }
    if !rows.isEmpty { process.show(table.text) }
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
    let coordinator = try Transactions.coordinator(of: id, session, process)
    var request = DescribeTransactionsRequest()
    request.transactionalIDs = [id]
    let sent = request
    let answer = try process.wait { session.client.send(sent, to: .broker(coordinator), then: $0) }
    guard let state = answer.transactionStates.first, state.errorCode != .transactionalIDNotFound else {
      throw CommandError("no transactional id \(id) is known: see `sluice transactions list`")
    }
    try Transactions.check(state.errorCode, "describing the transactional id \(id)")
    process.show("transactional id \(id): \(state.transactionState)\n")
    let started = state.transactionStartTimeMilliseconds
    var lines = [
      ("producer id", String(state.producerID)), ("epoch", String(state.producerEpoch)),
      ("coordinator", String(coordinator)), ("timeout", "\(state.transactionTimeoutMilliseconds) ms"),
    ]
    if started >= 0 { lines.append(("open since", "\(Timestamp(milliseconds: started))")) }
    for topic in state.topics {
      lines.append((topic.topic, "partitions \(topic.partitions.sorted().map(String.init).joined(separator: ", "))"))
    }
    let width = lines.reduce(0) { max($0, $1.0.count) }
    for (name, value) in lines {
      process.show("  \(name)\(String(repeating: " ", count: width - name.count))  \(value)\n")
    }
  }

  private static func showProducers(_ topic: String, _ session: Session, _ process: CommandProcess) throws {
    let described = try process.wait { Admin(session.client).describe([topic], then: $0) }
    var table = TextTable([
      ("partition", .right), ("producer id", .right), ("epoch", .right), ("last sequence", .right),
      ("last write", .left), ("transaction begins at", .right),
    ])
    var count = 0
    for partition in described.flatMap(\.partitions) {
      let producers = try Transactions.producers(of: TopicPartition(topic, partition.index), session, process)
      for producer in producers {
        count += 1
        table.add([
          partition.index.description, String(producer.producerID), String(producer.producerEpoch),
          producer.lastSequence < 0 ? "-" : String(producer.lastSequence),
          producer.lastTimestamp < 0 ? "-" : "\(Timestamp(milliseconds: producer.lastTimestamp))",
          producer.currentTxnStartOffset < 0 ? "-" : String(producer.currentTxnStartOffset),
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
    let offset = Int64(try options.int("start-offset") ?? 0)
    let session = try Session(options, process)
    defer { session.close(process) }
    let open = try Transactions.producers(of: partition, session, process).filter { $0.currentTxnStartOffset >= 0 }
    guard let producer = open.first(where: { $0.currentTxnStartOffset == offset }) else {
      let begins = open.map { String($0.currentTxnStartOffset) }.joined(separator: ", ")
      throw CommandError(
        "no open transaction of \(partition) begins at offset \(offset): "
          + (open.isEmpty ? "none is open there" : "those that are open begin at \(begins)"))
    }
    var marker = WriteTxnMarkersRequest.WritableTxnMarker()
    marker.producerID = producer.producerID
    marker.producerEpoch = Int16(clamping: producer.producerEpoch)
    marker.coordinatorEpoch = max(producer.coordinatorEpoch, 0)
    var wanted = WriteTxnMarkersRequest.WritableTxnMarker.WritableTxnMarkerTopic()
    wanted.name = topic
    wanted.partitionIndexes = [partition.partition.rawValue]
    marker.topics = [wanted]
    var request = WriteTxnMarkersRequest()
    request.markers = [marker]
    let sent = request
    let answer = try process.wait { session.client.send(sent, to: .leader(partition), then: $0) }
    let code = answer.markers.first?.topics.first?.partitions.first?.errorCode ?? .unknownServerError
    try Transactions.check(code, "aborting the transaction at \(partition) offset \(offset)")
    process.show(
      "aborted the transaction of producer \(producer.producerID) in \(partition), from offset \(offset) on\n")
    return ExitCode.success
  }
}

/// What the commands share.
private enum Transactions {
  static func check(_ code: KafkaErrorCode, _ what: String) throws {
    if code.isError { throw ClientError(.broker(code, what)) }
  }

  /// The broker that coordinates a transactional id.
  static func coordinator(of id: String, _ session: Session, _ process: CommandProcess) throws -> Int32 {
    var request = FindCoordinatorRequest()
    request.key = id
    request.keyType = 1
    request.coordinatorKeys = [id]
    let sent = request
    let answer = try process.wait { session.client.send(sent, to: .any, versions: 1...5, then: $0) }
    try check(answer.coordinators.first?.errorCode ?? answer.errorCode, "the coordinator of \(id)")
    let broker = answer.coordinators.first?.nodeID ?? answer.nodeID
    // Its address comes with the metadata.
    _ = try process.wait { session.client.metadata(for: [], then: $0) }
    return broker
  }

  /// The producers that a partition's leader remembers, by id.
  static func producers(
    of partition: TopicPartition, _ session: Session, _ process: CommandProcess
  ) throws -> [DescribeProducersResponse.TopicResponse.PartitionResponse.ProducerState] {
    var topic = DescribeProducersRequest.TopicRequest()
    topic.name = partition.topic
    topic.partitionIndexes = [partition.partition.rawValue]
    var request = DescribeProducersRequest()
    request.topics = [topic]
    let sent = request
    let answer = try process.wait { session.client.send(sent, to: .leader(partition), then: $0) }
    guard let found = answer.topics.first?.partitions.first else { return [] }
    try check(found.errorCode, "the producers of \(partition)")
    return found.activeProducers.sorted { $0.producerID < $1.producerID }
  }
}
