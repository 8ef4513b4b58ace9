import Groundwork
import KafkaProtocol

/// Every message defined in KafkaProtocol: the generic suites visit them all.
enum MessageCatalogue {
  static let requests: [any KafkaRequest.Type] = [
    ProduceRequest.self, FetchRequest.self, ListOffsetsRequest.self, MetadataRequest.self, OffsetCommitRequest.self,
    OffsetFetchRequest.self, FindCoordinatorRequest.self, ApiVersionsRequest.self, CreateTopicsRequest.self,
    DeleteTopicsRequest.self, CreatePartitionsRequest.self, DescribeConfigsRequest.self, InitProducerIDRequest.self,
    JoinGroupRequest.self, HeartbeatRequest.self, LeaveGroupRequest.self, SyncGroupRequest.self,
    DescribeGroupsRequest.self, ListGroupsRequest.self, DeleteGroupsRequest.self,
    AddPartitionsToTxnRequest.self, AddOffsetsToTxnRequest.self, EndTxnRequest.self, WriteTxnMarkersRequest.self,
    TxnOffsetCommitRequest.self, DescribeProducersRequest.self, DescribeTransactionsRequest.self,
    ListTransactionsRequest.self,
  ]
  static let responses: [any KafkaResponse.Type] = [
    ProduceResponse.self, FetchResponse.self, ListOffsetsResponse.self, MetadataResponse.self,
    OffsetCommitResponse.self, OffsetFetchResponse.self, FindCoordinatorResponse.self, ApiVersionsResponse.self,
    CreateTopicsResponse.self, DeleteTopicsResponse.self, CreatePartitionsResponse.self, DescribeConfigsResponse.self,
    InitProducerIDResponse.self, JoinGroupResponse.self, HeartbeatResponse.self, LeaveGroupResponse.self,
    SyncGroupResponse.self, DescribeGroupsResponse.self, ListGroupsResponse.self, DeleteGroupsResponse.self,
    AddPartitionsToTxnResponse.self, AddOffsetsToTxnResponse.self, EndTxnResponse.self, WriteTxnMarkersResponse.self,
    TxnOffsetCommitResponse.self, DescribeProducersResponse.self, DescribeTransactionsResponse.self,
    ListTransactionsResponse.self,
  ]
  static var all: [any KafkaMessage.Type] { requests + responses }
}

/// A frame's parts as one run of bytes.
func joined(_ parts: [Bytes]) -> Bytes {
  var writer = ByteWriter()
  for part in parts { writer.append(part) }
  return writer.finish()
}

/// The body of a message, without header.
func encodedBody<Message: KafkaMessage>(_ message: Message, _ version: Int16) throws -> Bytes {
  var message = message
  var encoder = FieldEncoder(version: version, isFlexible: Message.isFlexible(version))
  try message.code(&encoder)
  return joined(encoder.finish())
}

func decodedBody<Message: KafkaMessage>(_ type: Message.Type, _ bytes: Bytes, _ version: Int16) throws -> Message {
  var decoder = FieldDecoder(bytes, version: version, isFlexible: Message.isFlexible(version))
  var message = Message()
  try message.code(&decoder)
  try decoder.finish()
  return message
}
