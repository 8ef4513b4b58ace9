import KafkaProtocol

/// The features that the brokers of a cluster agreed to switch on (KIP-584), as far as a client goes by them.
struct FinalizedFeatures: Sendable, Equatable {
  /// Grows with each change; -1: the broker knows of no features.
  var epoch: Int64 = -1
  /// `transaction.version`: from 2 on producers and brokers add partitions to transactions implicitly (KIP-890).
  var transactionVersion: Int16 = 0

  init() {}

  init(_ answer: ApiVersionsResponse) {
    epoch = answer.finalizedFeaturesEpoch
    let found = answer.finalizedFeatures.first { $0.name == "transaction.version" }
    transactionVersion = found?.maxVersionLevel ?? 0
  }
}
