import Datasets
import Groundwork
import JobScheduling
import Synchronization
import SystemInterfaces

/// What a streaming context gets from the one who runs it: the seams, the scheduler, and where text goes.
public struct StreamingEnvironment: Sendable {
  /// The seams.
  public var world: World
  /// The driver's loop: planning, scheduling and committing happen there.
  public var loop: any Loop
  /// Runs the jobs of batches and actions; lives on `loop`.
  public var scheduler: DAGScheduler
  /// The job's name; its consumer group and its checkpoint carry it.
  public var jobName: String
  /// The number of the process, which locks name to whoever comes too late; nil leaves it out.
  public var processID: Int32?
  /// Where the commit log stands; nil keeps none.
  public var checkpointDirectory: String?
  /// Work through what the sources hold at start, in batches, then stop.
  public var availableNow: Bool
  /// Settings by name, `sluice.kafka.maxRatePerPartition` and the like.
  public var settings: [String: String]
  /// Where `print` goes.
  public var print: @Sendable (String) -> Void
  /// A line for the operator of the job.
  public var log: @Sendable (String) -> Void

  /// Without the optional parts: no commit log, runs until stopped, all settings at their defaults, and text goes
  /// nowhere.
  public init(
    world: World, loop: any Loop, scheduler: DAGScheduler, jobName: String, processID: Int32? = nil,
    checkpointDirectory: String? = nil, availableNow: Bool = false, settings: [String: String] = [:],
    print: @escaping @Sendable (String) -> Void = { _ in }, log: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.world = world
    self.loop = loop
    self.scheduler = scheduler
    self.jobName = jobName
    self.processID = processID
    self.checkpointDirectory = checkpointDirectory
    self.availableNow = availableNow
    self.settings = settings
    self.print = print
    self.log = log
  }
}

/// The entry to streaming: sources and outputs are defined on it, then it is started.
///
/// There is no process-wide active context, and so no `getActive`: several contexts may run in one process, each on a loop
/// of its own. What Spark's rule of one protects is held where it can break: a checkpoint folder and an output folder take
/// one writer, and a consumer group refuses a foreign member. Nor is there a `getOrCreate`: `start` goes on where the
/// checkpoint folder left off, with the graph as it is defined now, because no graph is ever written to disk.
///
/// Sendable: it is defined by one thread before `start`; from then on only the driver's loop touches it, and calls from
/// elsewhere are posted there.
public final class StreamingContext: @unchecked Sendable {
  /// Runs jobs over datasets.
  public let sluice: SluiceContext
  /// How much time one batch covers.
  public let batchInterval: Duration
  /// What the one who runs the job gave.
  public let environment: StreamingEnvironment

  /// An operator of the graph.
  package struct Operator: Sendable {
    package var label: String
    package var name: String
    /// Whether the name was derived, not given: state under such a name is lost when the graph changes before it.
    package var isDerived: Bool
  }
  package private(set) var operators: [Operator] = []
  package private(set) var streams: [AnyDStream] = []
  package private(set) var sources: [any StreamSource] = []
  /// By the operator's number, which source a stream reads.
  package private(set) var sourceOfStream: [Int: Int] = [:]
  package private(set) var outputs: [StreamOutput] = []
  /// The engine's parts that take part in every batch, in the order of registration.
  package private(set) var participants: [any BatchParticipant] = []
  private var problems: [StreamingError] = []
  private var listeners: [any StreamingListener] = []
  package private(set) var preparations: [(@escaping @Sendable ((any Error)?) -> Void) -> Void] = []
  private var endings: [@Sendable () -> Void] = []
  /// Of the checkpoint folder, once the job has started: whoever writes there looks at it first.
  package var writer: WriterEpoch?
  package private(set) var closings: [@Sendable () -> Void] = []
  private var releases: [@Sendable () -> Void] = []
  private var attachments: [ObjectIdentifier: AnyObject] = [:]
  private(set) var driver: Driver?
  /// How long every stream keeps its datasets; see `remember`.
  package var rememberDuration: Duration = .zero
  /// Whether streams free what they kept of datasets that they forget.
  package let unpersistsForgotten: Bool
  private let life = Atomic(StreamingContextState.initialized)
  private var isStopAsked = false

  /// - Parameter batchInterval: at least 1 ms, whole milliseconds.
  /// - Throws: `StreamingError.invalidDefinition` for another interval.
  public init(sluice: SluiceContext, batchInterval: Duration, environment: StreamingEnvironment) throws(StreamingError)
  {
    guard batchInterval >= .milliseconds(1), .milliseconds(batchInterval.inMilliseconds) == batchInterval else {
      throw .invalidDefinition(
        "a batch interval of \(batchInterval.text) is not possible: choose whole milliseconds, 1ms or more")
    }
    self.sluice = sluice
    self.batchInterval = batchInterval
    self.environment = environment
    sluice.attachments.put(AttachedFiles(environment.world.files))
    unpersistsForgotten = environment.settings["sluice.streaming.unpersist"] != "false"
  }

  // MARK: Definition

  /// A stream of the source's data: `dataset` makes the dataset of a batch from the source's plan.
  public func inputStream<Element>(
    _ source: any StreamSource, label: String,
    dataset: @escaping @Sendable (BatchIdentity, SourcePlan) -> RDD<Element>
  ) -> DStream<Element> {
    let index = sources.count
    sources.append(source)
    let stream = DStream<Element>(self, label: label, parents: []) { frame in
      dataset(frame.identity, frame.plans[index])
    }
    sourceOfStream[stream.operatorIndex] = index
    return stream
  }

  /// The elements of several streams of the same type.
  /// - Parameter streams: at least one; they must have the same slide.
  public func union<Element>(_ streams: [DStream<Element>]) -> DStream<Element> {
    checkNotEmpty(streams, "union")
    return DStream<Element>(self, label: "union", parents: streams) { [sluice] frame in
      let parts = streams.compactMap { $0.dataset(frame) }
      return parts.isEmpty ? nil : sluice.union(parts)
    }
  }

  /// Adds a listener; it hears of everything from the start on.
  public func addStreamingListener(_ listener: any StreamingListener) { listeners.append(listener) }

  /// Calls each listener, for events that the driver does not see. On the driver's loop.
  package func tellListeners(_ event: (any StreamingListener) -> Void) {
    for listener in listeners { event(listener) }
  }

  /// The sources' names, made unique: the logs find sources by them.
  package var sourceNames: [String] {
    var seen: [String: Int] = [:]
    return sources.map { source in
      seen[source.name, default: 0] += 1
      return seen[source.name]! == 1 ? source.name : "\(source.name) #\(seen[source.name]!)"
    }
  }

  /// Adds a part of the engine that takes part in every batch; its key must not be in use.
  package func add(participant: any BatchParticipant) {
    if participants.contains(where: { $0.key == participant.key }) {
      note(.invalidDefinition("two parts of the job keep notes under `\(participant.key)`: give their operators names"))
    }
    participants.append(participant)
  }

  /// Does something on the driver's loop before sinks are opened and sources begin; in the order of the calls.
  package func beforeStart(_ step: @escaping (_ then: @escaping @Sendable ((any Error)?) -> Void) -> Void) {
    preparations.append(step)
  }

  /// Calls `body` on the driver's loop when the job has ended without an error, before anybody else hears of it.
  public func atEnd(_ body: @escaping @Sendable () -> Void) { endings.append(body) }

  /// Calls `body` on the driver's loop when the job has ended, whichever way, and its sources have stopped: for what it
  /// shares with nobody else, such as connections.
  package func atStop(_ body: @escaping @Sendable () -> Void) { closings.append(body) }

  /// Calls `body` on the driver's loop when the job has ended and everything that it was made of goes: for parts that hold
  /// each other, or the context.
  package func atRelease(_ body: @escaping @Sendable () -> Void) { releases.append(body) }

  /// One object of a type that belongs to this context, made at the first call: what extensions of the context share.
  package func attachment<T: AnyObject>(_ type: T.Type, make: () throws -> T) rethrows -> T {
    if let object = attachments[ObjectIdentifier(type)] { return unsafeDowncast(object, to: type) }
    let object = try make()
    attachments[ObjectIdentifier(type)] = object
    return object
  }

  /// Puts an object of a type in place, before anybody asks for it.
  package func attach<T: AnyObject>(_ object: T) { attachments[ObjectIdentifier(T.self)] = object }

  /// Notes what is wrong with the definition; `start` fails with the first of these.
  @usableFromInline package func note(_ problem: StreamingError) { problems.append(problem) }

  /// Fails where something was defined wrongly, or too late: after the start.
  package func checkDefinition() throws(StreamingError) {
    if let problem = problems.first { throw problem }
  }

  func register(operator label: String) -> Int {
    if state != .initialized { note(.alreadyStarted) }
    let number = operators.count { $0.label == label } + 1
    operators.append(Operator(label: label, name: "\(label)-\(number)", isDerived: true))
    return operators.count - 1
  }

  func register(stream: AnyDStream) { streams.append(stream) }

  func rename(operator index: Int, to name: String) {
    if operators.contains(where: { $0.name == name && !$0.isDerived }) {
      note(
        .invalidDefinition("two operators are named \(name): names are unique in a job, because state is found by them")
      )
    }
    operators[index].name = name
    operators[index].isDerived = false
  }

  @discardableResult
  package func addOutput(
    label: String, action: @escaping @Sendable (BatchFrame) throws -> Void
  ) -> OutputDefinition {
    addOutput(
      label,
      .action { [unowned self] frame in
        try action(frame)
        // An action that defines streams would define more of them with every batch.
        try checkDefinition()
      })
  }

  @discardableResult
  package func addOutput(
    label: String, sink: any Sink, job: @escaping @Sendable (BatchFrame) -> SinkJob?
  ) -> OutputDefinition {
    addOutput(label, .sink(sink, job))
  }

  private func addOutput(_ label: String, _ kind: StreamOutput.Kind) -> OutputDefinition {
    if state != .initialized { note(.alreadyStarted) }
    let number = outputs.count { $0.label == label } + 1
    outputs.append(StreamOutput(label: label, name: "\(label)-\(number)", isDerived: true, kind: kind))
    return OutputDefinition(context: self, index: outputs.count - 1)
  }

  func rename(output index: Int, to name: String) {
    if outputs.contains(where: { $0.name == name && !$0.isDerived }) {
      note(
        .invalidDefinition(
          "two outputs are named \(name): names are unique in a job, because recovery finds outputs by them"))
    }
    outputs[index].name = name
    outputs[index].isDerived = false
  }

  // MARK: Life

  /// Starts the job: sources begin to read, and batches run from the next tick on.
  /// - Parameter terminated: called on the driver's loop when the job has ended, with the error that ended it.
  /// - Throws: what is wrong with the definition; `alreadyStarted` for a second start, `alreadyStopped` after a stop.
  public func start(terminated: @escaping @Sendable ((any Error)?) -> Void) throws(StreamingError) {
    switch state {
    case .initialized: break
    case .active: throw .alreadyStarted
    case .stopped: throw .alreadyStopped
    }
    try checkDefinition()
    try checkGraph()
    let endings = endings
    let watch = StabilityWatch(interval: batchInterval, log: environment.log)
    let driver = Driver(self, listeners: listeners + [watch]) { [self] error in
      life.store(.stopped, ordering: .sequentiallyConsistent)
      if error == nil { for ending in endings { ending() } }
      terminated(error)
      release()
    }
    self.driver = driver
    life.store(.active, ordering: .sequentiallyConsistent)
    environment.loop.post { driver.start() }
  }

  /// Lets go of all that the job was made of: the context and its streams, sources and sinks hold each other while it is
  /// defined and runs, and none of them would ever be freed. Names and settings stay. Streams have no datasets any more.
  ///
  /// Called when the job has ended, and for a job whose process has died in simulation. On the driver's loop.
  package func release() {
    driver?.release()
    driver = nil
    for body in releases { body() }
    for stream in streams { stream.release() }
    for index in outputs.indices { outputs[index].kind = .action { _ in } }
    (streams, sources, sourceOfStream, participants, listeners, attachments) = ([], [], [:], [], [], [:])
    (preparations, endings, closings, releases) = ([], [], [], [])
  }

  /// Where the context is in its life. Callable from anywhere.
  public var state: StreamingContextState { life.load(ordering: .sequentiallyConsistent) }

  /// Stops the job: gracefully, the batch that runs is finished and committed, and no further one begins; but what
  /// receivers hold in memory only is worked through first, within `sluice.streaming.gracefulStopTimeout`, unless this is
  /// the second call. Callable from anywhere, also before the first batch; a context that was not started cannot be
  /// started any more.
  public func stop(gracefully: Bool = true) {
    // Stopped before it was started: there is nobody to tell.
    let (isUnstarted, _) = life.compareExchange(
      expected: .initialized, desired: .stopped, ordering: .sequentiallyConsistent)
    if isUnstarted { return }
    environment.loop.post { [self] in
      guard let driver else { return }
      guard gracefully, !isStopAsked, sources.contains(where: \.losesDataOnStop) else {
        return driver.stop(gracefully: gracefully)
      }
      isStopAsked = true
      driver.stopAtPresentEnd()
      driver.stop(gracefully: true, after: driver.gracefulStopTimeout)
    }
  }

  /// Ends the job with an error, whatever it is doing: for a part of its process that it cannot go on without. A restart
  /// finds out what became of the batch that ran. Callable from anywhere.
  package func fail(_ error: any Error) {
    environment.loop.post { [self] in driver?.abandon(error) }
  }

  /// Works through what the sources hold at this moment, then stops. Callable from anywhere.
  public func stopAtPresentEnd() {
    environment.loop.post { [self] in driver?.stopAtPresentEnd() }
  }

  /// A setting by its full name.
  public func setting(_ name: String) -> String? { environment.settings[name] }
}
