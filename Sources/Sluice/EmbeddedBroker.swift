import Groundwork
import LogBroker
import LogStorage
import Synchronization
import SystemInterfaces

/// The embedded broker of a data folder: the one that serves there already, in whichever process, else one in this
/// process, on a loop of its own, until `stop`.
package final class EmbeddedBroker: Sendable {
  private let broker: Broker
  private let loop: any Loop

  private init(_ broker: Broker, _ loop: any Loop) {
    self.broker = broker
    self.loop = loop
  }

  /// Where the broker serves, and the broker where it runs in this process.
  package struct Found: Sendable {
    package var address: Address
    /// nil: another process owns it; it is not ours to stop.
    package var owned: EmbeddedBroker?
  }

  /// Finds the broker of a data folder, or starts it on a free port of 127.0.0.1.
  ///
  /// Where another process is just starting one, it waits for that; so it must be called on `loop`, whose other work
  /// goes on meanwhile.
  /// - Parameters:
  ///   - processID: this process's, for the lock.
  ///   - startTime: how long another process may take to start; recovery after a crash takes a while.
  ///   - configure: changes the configuration before it starts here.
  /// - Throws: `.folderInUse` where the other one does not come up in time; what `Broker.start` throws.
  package static func findOrStart(
    _ world: World, on loop: any Loop, dataDirectory: String, processID: Int32,
    startTime: Duration = .seconds(15), configure: (inout BrokerConfiguration) -> Void = { _ in }
  ) throws(BrokerError) -> Found {
    let deadline = loop.now + startTime
    while true {
      do throws(BrokerError) {
        return try start(world, dataDirectory: dataDirectory, processID: processID, configure: configure)
      } catch {
        guard case .folderInUse(_, let address) = error.code else { throw error }
        if let address { return Found(address: address, owned: nil) }
        if loop.now >= deadline { throw error }
        pause(loop, .milliseconds(50))
      }
    }
  }

  /// Starts the broker of a data folder in this process.
  package static func start(
    _ world: World, dataDirectory: String, processID: Int32, configure: (inout BrokerConfiguration) -> Void = { _ in }
  ) throws(BrokerError) -> Found {
    var configuration = BrokerConfiguration(dataDirectory: dataDirectory, processID: Int(processID))
    configuration.listenAddress = Address(host: "127.0.0.1", port: 0)
    configure(&configuration)
    let loop = world.runner.makeLoop(named: "broker")
    let broker = Broker(world: world, loop: loop, configuration: configuration)
    do throws(BrokerError) {
      let address = try broker.start()
      return Found(address: address, owned: EmbeddedBroker(broker, loop))
    } catch {
      loop.stop()
      throw error
    }
  }

  /// As the other one, on a loop given and without waiting for a process that is just starting one: for a job, whose
  /// graph is built outside its loop.
  package static func findOrStart(
    _ world: World, loop: any Loop, dataDirectory: String, pid: Int32
  ) throws(BrokerError) -> (address: Address, owned: EmbeddedBroker?) {
    var configuration = BrokerConfiguration(dataDirectory: dataDirectory, processID: Int(pid))
    configuration.listenAddress = Address(host: "127.0.0.1", port: 0)
    let broker = Broker(world: world, loop: loop, configuration: configuration)
    do throws(BrokerError) {
      return (try broker.start(), EmbeddedBroker(broker, loop))
    } catch {
      guard case .folderInUse(_, let address?) = error.code else { throw error }
      return (address, nil)
    }
  }

  /// Stops serving, writes everything out and frees the folder; `done` is called on the broker's loop.
  package func stop(then done: @escaping @Sendable () -> Void) { broker.stop(then: done) }

  /// Stops serving, writes everything out and frees the folder; returns when that is done.
  /// - Parameter caller: the loop this is called on, whose other work goes on meanwhile.
  package func stop(waitingOn caller: any Loop) {
    let done = Flag()
    broker.stop { caller.post { done.set() } }
    caller.pump { done.isSet }
    loop.stop()
  }

  private static func pause(_ loop: any Loop, _ time: Duration) {
    let over = Flag()
    loop.after(time) { over.set() }
    loop.pump { over.isSet }
  }

  private final class Flag: Sendable {
    private let state = Atomic<Bool>(false)
    var isSet: Bool { state.load(ordering: .acquiring) }
    func set() { state.store(true, ordering: .releasing) }
  }
}
