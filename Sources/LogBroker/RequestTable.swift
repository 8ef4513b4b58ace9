import Groundwork
import KafkaProtocol

/// A kind of request the broker answers: its number, the versions it announces, and what answers it.
struct RequestKind: Sendable {
  let key: APIKey
  let versions: ClosedRange<Int16>
  let handle: @Sendable (BrokerState, Call, Bytes) throws -> Void

  init<Request: KafkaRequest>(
    _ versions: ClosedRange<Int16>, _ handler: @escaping @Sendable (BrokerState) -> (Call, Request) -> Void
  ) {
    key = Request.apiKey
    self.versions = versions
    handle = { broker, call, frame in
      handler(broker)(call, try decodeRequest(Request.self, frame, call.header, ignoringRest: true))
    }
  }

  /// Everything this broker answers. Produce and Fetch announce versions that carry record formats which are not stored
  /// here, because librdkafka infers codec support from them; used, they get UNSUPPORTED_FOR_MESSAGE_FORMAT.
  static let all: [RequestKind] = [
    RequestKind(0...12, BrokerState.produce),
    RequestKind(0...13, BrokerState.fetch),
    RequestKind(0...8, BrokerState.listOffsets),
    RequestKind(0...12, BrokerState.metadata),
    RequestKind(0...9, BrokerState.offsetCommit),
    RequestKind(0...9, BrokerState.offsetFetch),
    RequestKind(0...5, BrokerState.findCoordinator),
    RequestKind(0...9, BrokerState.joinGroup),
    RequestKind(0...4, BrokerState.heartbeat),
    RequestKind(0...5, BrokerState.leaveGroup),
    RequestKind(0...5, BrokerState.syncGroup),
    RequestKind(0...5, BrokerState.describeGroups),
    RequestKind(0...4, BrokerState.listGroups),
    RequestKind(0...4, BrokerState.apiVersions),
    RequestKind(0...7, BrokerState.createTopics),
    RequestKind(0...6, BrokerState.deleteTopics),
    RequestKind(0...5, BrokerState.initProducerID),
    RequestKind(0...5, BrokerState.addPartitionsToTxn),
    RequestKind(0...4, BrokerState.addOffsetsToTxn),
    RequestKind(0...5, BrokerState.endTxn),
    RequestKind(0...1, BrokerState.writeTxnMarkers),
    RequestKind(0...5, BrokerState.txnOffsetCommit),
    RequestKind(0...4, BrokerState.describeConfigs),
    RequestKind(0...3, BrokerState.createPartitions),
    RequestKind(0...2, BrokerState.deleteGroups),
    RequestKind(0...0, BrokerState.describeProducers),
    RequestKind(0...0, BrokerState.describeTransactions),
    RequestKind(0...1, BrokerState.listTransactions),
  ]
}
