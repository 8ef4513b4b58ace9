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

  /// - Parameter createsTopics: whether a topic that is missing may be made by asking for it.
  init(_ options: Options, _ process: CommandProcess, createsTopics: Bool = false) throws {
    var addresses = try options.addresses("bootstrap-server")
    if addresses.isEmpty {
      let folder = try options.string("data") ?? StateDirectory(environment: process.environment).broker
      let found = try EmbeddedBroker.findOrStart(
        process.world, on: process.loop, dataDirectory: folder, processID: process.pid
      ) {
        // What it has to say otherwise, such as that a topic was made, is not the command's news.
        $0.log = { [error = process.error] line in
          if line.level == .warning { error.write("sluice: the embedded broker: \(line.text)\n") }
        }
      }
      addresses = [found.address]
      embedded = found.owned
    } else {
      embedded = nil
    }
    var configuration = ClientConfiguration(bootstrap: addresses, clientID: "sluice-command")
    configuration.allowsAutoTopicCreation = createsTopics
    client = KafkaClient(world: process.world, loop: process.loop, configuration: configuration)
  }

  /// Closes the connections; a broker that runs here writes what it has to write and gives its folder free.
  func close(_ process: CommandProcess) {
    client.close()
    embedded?.stop(waitingOn: process.loop)
  }
}
