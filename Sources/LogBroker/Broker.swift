import Groundwork
import LogStorage
import SystemInterfaces

/// The embedded single-node broker: speaks the Kafka protocol, keeps topics as durable logs in its data folder, and
/// claims nothing about replication.
///
/// Acknowledged records survive the death of the process; under `FlushPolicy.sync` also a power loss. It runs on one
/// loop, holds no thread for a waiting client, and locks its data folder.
///
/// Sendable: after `start` its state is touched on its loop only; the handle to it is written once, by `start`, before
/// that returns.
public final class Broker: @unchecked Sendable {
  private let world: World
  private let loop: any Loop
  private let configuration: BrokerConfiguration
  private var running: Running?
  private var isStarted = false

  private struct Running {
    var state: BrokerState
    var lock: any FileLock
    var listener: ListenerID
    var background: any Loop
  }

  /// - Parameters:
  ///   - world: the seams.
  ///   - loop: where everything of the broker happens.
  ///   - configuration: see there.
  public init(world: World, loop: any Loop, configuration: BrokerConfiguration) {
    self.world = world
    self.loop = loop
    self.configuration = configuration
  }

  /// Locks the data folder, recovers the logs, and serves.
  ///
  /// To be called once, before anything else uses the broker; from any thread, or on the loop. It returns when clients
  /// can connect; recovery after a death reads what was written since the last checkpoint.
  ///
  /// - Returns: the address clients are told, with the port that was chosen.
  /// - Throws: `.folderInUse` with the holder; `.listen`; what the file system says.
  public func start() throws(BrokerError) -> Address {
    guard !isStarted else { throw BrokerError(.startedAlready) }
    isStarted = true
    let configuration = configuration
    let log = configuration.log
    let lock = try lockFolder()
    let background = world.runner.makeLoop(named: "broker log sync")
    do throws(BrokerError) {
      let state = try openState(background: background) { log(BrokerLogLine(level: $0, text: $1)) }
      let (listener, bound) = try listen(state)
      let host = configuration.advertisedHost ?? configuration.listenAddress.host
      let address = Address(host: host, port: bound.port)
      state.advertised = address
      do throws(FileError) {
        try lock.update(holder: BrokerHolder(processID: configuration.processID, address: address).text)
      } catch {
        world.transport.stopListening(listener)
        throw BrokerError(error)
      }
      running = Running(state: state, lock: lock, listener: listener, background: background)
      loop.post { [self] in
        guard running != nil else { return }
        state.resumeTransactions()
        scheduleMaintenance()
      }
      return address
    } catch {
      background.stop()
      lock.unlock()
      throw error
    }
  }

  /// Stops serving, writes everything out, leaves the clean marks that make the next start quick, and frees the folder.
  ///
  /// - Parameter done: called on the loop when all is done. A second call, or one without `start`, only calls it.
  public func stop(then done: @escaping @Sendable () -> Void = {}) {
    if loop.isCurrent {
      stopOnLoop()
      done()
    } else {
      loop.post { [self] in
        stopOnLoop()
        done()
      }
    }
  }

  private func stopOnLoop() {
    guard let running else { return }
    self.running = nil
    let state = running.state
    world.transport.stopListening(running.listener)
    state.closeConnections()
    for topic in state.topics.all {
      for (partition, log) in topic.logs.enumerated() {
        do throws(LogError) {
          try log.close()
        } catch {
          state.report(.warning, "\(topic.name)-\(partition) could not be closed cleanly: \(error)")
        }
      }
    }
    do throws(LogError) {
      try state.offsets.sync()
      try state.transactions.log.sync()
    } catch { state.report(.warning, "\(error)") }
    running.background.stop()
    // An empty text: nobody is to be found here any more.
    do throws(FileError) { try running.lock.update(holder: "") } catch { state.report(.warning, "\(error)") }
    running.lock.unlock()
  }

  private func lockFolder() throws(BrokerError) -> any FileLock {
    do throws(FileError) {
      try world.files.createDirectories(configuration.dataDirectory)
      return try world.files.lock(
        DataFolder.lockPath(configuration.dataDirectory),
        holder: BrokerHolder(processID: configuration.processID, address: nil).text)
    } catch {
      if case .locked(let holder) = error.code {
        throw BrokerError(.folderInUse(holder: holder, address: BrokerHolder(text: holder)?.address))
      }
      throw BrokerError(error)
    }
  }

  private func openState(
    background: any Loop, _ report: (BrokerLogLine.Level, String) -> Void
  ) throws(BrokerError) -> BrokerState {
    let directory = configuration.dataDirectory
    let environment = LogEnvironment(
      files: world.files, hotTail: HotTail(capacity: configuration.hotTailBytes),
      flushPolicy: configuration.flushPolicy, background: background)
    return try brokering { () throws(LogError) in
      let topics = try TopicStore(
        configuration, environment, randomness: world.randomness, now: loop.wallTime, report: report)
      let (offsets, cut) = try CommittedOffsets.open(
        DataFolder.offsetsPath(directory), in: world.files, flushPolicy: configuration.flushPolicy)
      if cut > 0 { report(.warning, "the committed offsets had a torn tail: \(cut) bytes were cut off") }
      let counter = try ProducerIDCounter.open(DataFolder.producerIDsPath(directory), in: world.files)
      let (transactions, cutSteps) = try TransactionLog.open(
        DataFolder.transactionsPath(directory), in: world.files, flushPolicy: configuration.flushPolicy)
      if cutSteps > 0 { report(.warning, "the log of transactions had a torn tail: \(cutSteps) bytes were cut off") }
      return BrokerState(
        world: world, loop: loop, configuration: configuration, topics: topics, offsets: offsets,
        producerIDs: counter, transactions: transactions)
    }
  }

  private func listen(_ state: BrokerState) throws(BrokerError) -> (ListenerID, Address) {
    do throws(TransportError) {
      return try world.transport.listen(
        on: configuration.listenAddress, framing: .lengthPrefixed(maximum: configuration.requestBytesMax), loop: loop
      ) { connection, peer in state.accept(connection, peer) }
    } catch {
      throw BrokerError(.listen(error.code, address: error.address))
    }
  }

  private func scheduleMaintenance() {
    loop.after(configuration.retentionCheckInterval) { [weak self] in
      guard let self, let running = self.running else { return }
      running.state.maintain()
      self.scheduleMaintenance()
    }
  }
}
