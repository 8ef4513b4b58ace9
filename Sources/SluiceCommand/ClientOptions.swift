import Sluice

/// The options every command has that talks to a broker.
enum ClientOptions {
  static let standard: [OptionSpec] = JobOptions.standard.filter { ["bootstrap-server", "data"].contains($0.name) }

  static let topic = OptionSpec.value("topic", "TOPIC", "the topic", short: "t", required: true)
}
