import Groundwork
import Simulation
import SystemInterfaces

@testable import Streaming

/// A receiver whose data the test stores.
final class HandReceiver<Element: Sendable>: Receiver {
  private let current = Cell<ReceiverSupervisor<Element>?>(nil)
  let starts = Cell<[Instant]>([])
  let stops = Cell(0)
  let resumes = Cell(0)
  private let started: @Sendable (ReceiverSupervisor<Element>) -> Void
  private let clock: any Clock

  init(_ clock: any Clock, started: @escaping @Sendable (ReceiverSupervisor<Element>) -> Void = { _ in }) {
    self.clock = clock
    self.started = started
  }

  var supervisor: ReceiverSupervisor<Element> { current.value! }

  func onStart(_ supervisor: ReceiverSupervisor<Element>) {
    current.value = supervisor
    starts.value.append(clock.now)
    started(supervisor)
  }
  func onStop() { stops.value += 1 }
  func onResume() { resumes.value += 1 }
}

/// Writes down what a listener hears of receivers.
final class ReceiverRecorder: StreamingListener {
  let events = Cell<[String]>([])
  func onReceiverStarted(_ receiver: ReceiverInfo) {
    events.value.append("started \(receiver.name) restarts=\(receiver.restarts)")
  }
  func onReceiverError(_ receiver: ReceiverInfo) {
    events.value.append("error \(receiver.isActive ? "active" : "waiting"): \(receiver.lastError ?? "")")
  }
  func onReceiverStopped(_ receiver: ReceiverInfo, reason: String) { events.value.append("stopped: \(reason)") }
}

/// A process that listens, and sends to whoever has connected.
final class SimulatedServer: Sendable {
  let process: SimulatedProcess
  let address: Address
  private let loop: SimulatedLoop
  private let open = Cell<[ConnectionID]>([])
  let accepted = Cell(0)

  /// - Parameter greet: what each new connection is sent.
  init(
    _ simulation: SimulatedWorld, port: Int = 9999, named name: String = "server",
    greet: @escaping @Sendable (_ number: Int) -> Bytes = { _ in Bytes() }
  ) throws {
    process = simulation.makeProcess(named: name)
    loop = process.makeLoop(named: "main")
    let transport = process.world.transport
    let (open, accepted) = (open, accepted)
    address = try transport.listen(
      on: Address(host: name, port: port), framing: .stream, loop: loop
    ) { connection, _ in
      open.value.append(connection)
      accepted.value += 1
      let number = accepted.value
      return { event in
        switch event {
        case .opened:
          let greeting = greet(number)
          if !greeting.isEmpty { transport.send(connection, [.bytes(greeting)]) }
        case .closed: open.value.removeAll { $0 == connection }
        default: break
        }
      }
    }.1
  }

  func send(_ bytes: Bytes) {
    let (transport, open) = (process.world.transport, open)
    loop.post { for connection in open.value { transport.send(connection, [.bytes(bytes)]) } }
  }
  func send(_ text: String) { send(Bytes(text)) }

  /// Closes all connections.
  func hangUp() {
    let (transport, open) = (process.world.transport, open)
    loop.post { for connection in open.value { transport.close(connection) } }
  }
  var connections: Int { open.value.count }
}
