import KafkaProtocol

// ApiVersions (18), versions 0 to 4. Answers what stands in the request table.
// A version beyond these gets UNSUPPORTED_VERSION in the form of version 0, with the table, so that any client can go on
// (KIP-511). Client name and version are read and not kept.

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
    return response
  }
}
