import Groundwork
import LogBroker
import SystemInterfaces

/// The embedded broker of a data folder, found where another process serves it, else started here.
package final class EmbeddedBroker: Sendable {
  private let broker: Broker
  private init(_ broker: Broker) { self.broker = broker }

  package static func findOrStart(
    _ world: World, loop: any Loop, dataDirectory: String, pid: Int32
  ) throws -> (address: Address, owned: EmbeddedBroker?) {
    var configuration = BrokerConfiguration(dataDirectory: dataDirectory, processID: Int(pid))
    configuration.listenAddress = Address(host: "127.0.0.1", port: 0)
    let broker = Broker(world: world, loop: loop, configuration: configuration)
    do {
      return (try broker.start(), EmbeddedBroker(broker))
    } catch {
      guard case .folderInUse = error.code,
        let address = BrokerHolder.read(ofFolder: dataDirectory, in: world.files)?.address
      else { throw error }
      return (address, nil)
    }
  }

  package func stop(_ loop: any Loop, then done: @escaping @Sendable () -> Void = {}) {
    broker.stop(then: done)
  }
}
