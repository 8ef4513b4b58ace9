import Datasets
import FileStreaming
import Groundwork
import KafkaStreaming
import Simulation
import Streaming
import SystemInterfaces

/// The outside world: what jobs have given, whichever run of them. It outlives processes and power.
final class OracleLedger {
  struct Entry {
    var number: BatchNumber?
    var time: Int64
    var rows: [String]
  }
  /// States of all keys, by batch number: the sink's commits in their order, repeated ones included.
  var states: [Entry] = []
  /// What the action that sees the windows' results was given.
  var windows: [Entry] = []
  /// What the action that sees late records was given.
  var late: [Entry] = []
  /// How often a record's task has failed, by the record's number.
  private var failures: [Int: Int] = [:]

  /// Defines the job.
  /// - Parameters:
  ///   - process: the process it runs in, as soon as it is known: what a dead one still calls has no effect.
  ///   - commitDelay: how long the sink's commits take; nil: they end in the call.
  func define(
    _ definition: OracleDefinition, _ context: StreamingContext, _ process: Cell<SimulatedProcess?>,
    commitDelay: Duration?
  ) {
    let ledger = Cell(self)
    let loop = context.environment.loop
    let sink = LedgerSink(ledger, process) { then in
      if let commitDelay { _ = loop.after(commitDelay, then) } else { then() }
    }
    let topic = context.topicStream("in", startingOffsets: .earliest)
    var input: DStream<ConsumerRecord> = topic
    if definition.broken != nil {
      input = topic.map { record -> ConsumerRecord in
        if process.value?.isAlive == true { try ledger.value.fail(OracleEvent(String(record.value)), definition) }
        return record
      }
    }
    copy(input, definition)
    let timed = input.withEventTime(
      { Timestamp(milliseconds: OracleEvent(String($0.value)).time) }, delay: .milliseconds(definition.delay))
    let pairs = timed.map { record -> (String, Int) in
      let event = OracleEvent(String(record.value))
      return (event.key, event.value)
    }
    let windows = pairs.eventTimeWindow(
      .tumbling(.milliseconds(OracleDefinition.window)), allowedLateness: .milliseconds(definition.lateness)
    ).aggregateByKey([Int]()) { sum, value in
      OracleDefinition.add(value, to: sum.isEmpty ? nil : sum)
    } merge: { sum, _ in
      sum
    }.named("windows")
    let states = Self.states(definition, pairs.elements)
    states.write(to: sink, label: "ledger") { dataset, partition, task in
      var rows: [String] = []
      try dataset.compute(partition, task) { chunk in
        for index in 0..<chunk.count { rows.append(OracleModel.row(chunk[index].0, chunk[index].1)) }
      }
      return TaskOutput(records: rows.count, bytes: 0, payload: rows)
    }
    windows.results.foreachRDD { dataset, time in
      let rows = try dataset.map { OracleModel.row($0.0.key, $0.0.start.milliseconds, $0.1) }.collect()
      guard process.value?.isAlive == true else { return }
      ledger.value.windows.append(Entry(time: time.milliseconds, rows: rows.sorted()))
    }
    windows.lateRecords.foreachRDD { dataset, time in
      let rows = try dataset.map { "\($0.1.0) \($0.0.milliseconds)" }.collect()
      guard process.value?.isAlive == true else { return }
      ledger.value.late.append(Entry(time: time.milliseconds, rows: rows.sorted()))
    }
  }

  struct Broken: Error {}

  private func fail(_ event: OracleEvent, _ definition: OracleDefinition) throws {
    let before = failures[event.number, default: 0]
    guard before < definition.failures(of: event) ?? .max else { return }
    failures[event.number] = before + 1
    throw Broken()
  }

  /// Copies records with their batch's time before them to a topic and into files.
  private func copy(_ input: DStream<ConsumerRecord>, _ definition: OracleDefinition) {
    guard definition.writesTopic || definition.writesFiles else { return }
    let copies = input.transform { dataset, time in
      dataset.map { record -> Bytes in Bytes("\(time.milliseconds) \(String(record.value))") }
    }
    if definition.writesTopic { copies.saveToTopic("out") { ProducerRecord(value: $0) } }
    if definition.writesFiles { copies.saveAsTextFiles("/out/records") { text, line in line.append(text) } }
  }

  private static func states(
    _ definition: OracleDefinition, _ pairs: DStream<(String, Int)>
  ) -> DStream<(String, [Int])> {
    if definition.state == .updateStateByKey {
      return pairs.updateStateByKey(partitions: 3) { (values: [Int], state: [Int]?) in
        OracleDefinition.update(values, state)
      }.named("states")
    }
    var spec = StateSpec<String, Int, [Int], Int>.function { (_: String, value: Int?, state: State<[Int]>) -> Int in
      if let value { state.update(OracleDefinition.add(value, to: state.get())) }
      return 0
    }.numPartitions(3)
    if definition.state == .mapWithTimeout { spec = spec.timeout(.milliseconds(OracleDefinition.timeout)) }
    return pairs.mapWithState(spec).named("states").stateSnapshots()
  }
}

/// A store that keeps what each batch gives under the batch's number: idempotent.
///
/// Sendable: a simulated world and all in it is used by one thread.
final class LedgerSink: Sink, @unchecked Sendable {
  private struct Held: PreparedOutput {
    var batch: BatchIdentity
    var rows: [String]
  }
  private let ledger: Cell<OracleLedger>
  private let process: Cell<SimulatedProcess?>
  private let answer: (@escaping @Sendable () -> Void) -> Void

  /// - Parameter answer: calls back on the driver's loop, at once or later.
  init(
    _ ledger: Cell<OracleLedger>, _ process: Cell<SimulatedProcess?>,
    answer: @escaping (@escaping @Sendable () -> Void) -> Void
  ) {
    self.ledger = ledger
    self.process = process
    self.answer = answer
  }

  var name: String { "ledger" }
  var guarantee: OutputGuarantee { OutputGuarantee(.exactlyOnce, reason: "a batch number is kept once") }
  func lastCommitted(then: @escaping @Sendable (Result<BatchNumber?, any Error>) -> Void) { then(.success(nil)) }

  func prepare(
    _ batch: BatchIdentity, _ outputs: [TaskOutput],
    then: @escaping @Sendable (Result<any PreparedOutput, any Error>) -> Void
  ) {
    then(.success(Held(batch: batch, rows: outputs.flatMap { $0.payload as? [String] ?? [] }.sorted())))
  }

  func commit(_ prepared: any PreparedOutput, then: @escaping @Sendable ((any Error)?) -> Void) {
    guard let held = prepared as? Held, let process = process.value, process.isAlive else { return }
    ledger.value.states.append(
      OracleLedger.Entry(number: held.batch.number, time: held.batch.time.milliseconds, rows: held.rows))
    answer { then(nil) }
  }

  func abort(_ prepared: any PreparedOutput) {}
  func discard(_ output: TaskOutput) {}
}
