import KafkaProtocol

// ApiVersions (18), versions 0 to 4. Answers what stands in the request table.
// A version beyond these gets UNSUPPORTED_VERSION in the form of version 0, with the table, so that any client can go on
// (KIP-511). Client name and version are read and not kept. Of features (KIP-584) there is one, `transaction.version`: at 2
// producers leave out AddPartitionsToTxn and raise their epoch with each transaction (KIP-890).

extension BrokerState {
  func apiVersions(_ call: Call, _ request: ApiVersionsRequest) { call.answer(supportedVersions) }

  func refuseApiVersions(_ call: Call) {
    var response = supportedVersions
    response.errorCode = .unsupportedVersion
    call.answer(response, version: 0)
  }

  private var supportedVersions: ApiVersionsResponse {
    var response = ApiVersionsResponse()
    response.apiKeys = RequestKind.all.map { kind in
      var entry = ApiVersionsResponse.ApiVersion()
      entry.apiKey = kind.key.rawValue
      entry.minVersion = kind.versions.lowerBound
      entry.maxVersion = kind.versions.upperBound
      return entry
    }
    var supported = ApiVersionsResponse.SupportedFeatureKey()
    supported.name = "transaction.version"
    // Not from 0, which clients of before Kafka 4.0 refuse to read (KAFKA-17011).
    supported.minVersion = 1
    supported.maxVersion = 2
    response.supportedFeatures = [supported]
    var finalized = ApiVersionsResponse.FinalizedFeatureKey()
    finalized.name = supported.name
    finalized.minVersionLevel = configuration.transactionVersion
    finalized.maxVersionLevel = configuration.transactionVersion
    response.finalizedFeatures = [finalized]
    response.finalizedFeaturesEpoch = 1
    return response
  }
}
