import Groundwork
import KafkaProtocol

/// Answers by which a broker asks its client to pause (KIP-219).
///
/// A broker that throttles answers at once and then leaves the connection unread for that long; a client that goes on
/// sending would only see its requests time out. In older versions of a call the broker held the answer back instead,
/// and the pause is over when it comes: each conformance names the first version in which the client has to wait.
/// Source: `shouldClientThrottle` of Apache Kafka's response classes.
protocol ThrottlingResponse: KafkaResponse {
  /// How long to pause.
  var throttleTimeMilliseconds: Int32 { get }
  /// The first version in which it is the client that waits.
  static var firstThrottledVersion: Int16 { get }
}

enum Throttling {
  /// How long the connection that brought this answer is to be left alone; nil: not at all.
  static func pause(_ response: some KafkaResponse, version: Int16) -> Duration? {
    guard let asking = response as? any ThrottlingResponse, asking.throttleTimeMilliseconds > 0,
      version >= type(of: asking).firstThrottledVersion
    else { return nil }
    return .milliseconds(Int64(asking.throttleTimeMilliseconds))
  }
}

extension ProduceResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 6 } }
extension FetchResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 8 } }
extension ListOffsetsResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 3 } }
extension MetadataResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 6 } }
extension OffsetCommitResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 4 } }
extension OffsetFetchResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 4 } }
extension FindCoordinatorResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 2 } }
extension CreateTopicsResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 3 } }
extension DeleteTopicsResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 2 } }
extension CreatePartitionsResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 1 } }
extension DescribeConfigsResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 2 } }
extension InitProducerIDResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 1 } }
extension AddPartitionsToTxnResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 1 } }
extension AddOffsetsToTxnResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 1 } }
extension EndTxnResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 1 } }
extension TxnOffsetCommitResponse: ThrottlingResponse { static var firstThrottledVersion: Int16 { 1 } }
