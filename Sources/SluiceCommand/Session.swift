import Groundwork
import KafkaClients
import Sluice
import SystemInterfaces

/// A command's connection to a cluster: the one named by `--bootstrap-server`, else the embedded broker, which runs in
/// this process while the command does where no other process runs it.
///
/// Confined to the command's loop.
final class Session {
  let client: KafkaClient
  private let embedded: EmbeddedBroker?

  init(_ options: Options, _ process: CommandProcess) throws {
    var addresses = try options.addresses("bootstrap-server")
    if addresses.isEmpty {
      let folder = try options.string("data") ?? StateDirectory(environment: process.environment).broker
      let found = try EmbeddedBroker.findOrStart(
        process.world, loop: process.loop, dataDirectory: folder, pid: process.pid)
      addresses = [found.address]
      embedded = found.owned
    } else {
      embedded = nil
    }
    client = KafkaClient(
      world: process.world, loop: process.loop,
      configuration: ClientConfiguration(bootstrap: addresses, clientID: "sluice-command"))
  }

  /// Closes the connections; a broker that runs here writes what it has to write and gives its folder free.
  func close(_ process: CommandProcess) {
    client.close()
    embedded?.stop(process.loop)
  }
}
