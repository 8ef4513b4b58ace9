import KafkaProtocol
import Testing

@Suite struct KafkaErrorCodeTests {
  @Test func theTableHasEveryCodeOnce() {
    let codes = KafkaErrorCode.table.map { Int($0.code.rawValue) }
    #expect(codes == Array(-1...133))
    #expect(Set(KafkaErrorCode.table.map { $0.name }).count == codes.count)
    #expect(KafkaErrorCode.table.allSatisfy { !$0.message.isEmpty && !$0.message.hasSuffix(".") })
  }

  @Test func namesAndCategoriesAreKafkas() {
    #expect(KafkaErrorCode.notLeaderOrFollower.rawValue == 6)
    #expect(KafkaErrorCode.notLeaderOrFollower.name == "NOT_LEADER_OR_FOLLOWER")
    #expect(KafkaErrorCode.notLeaderOrFollower.category == .retriable)
    #expect(KafkaErrorCode.notLeaderOrFollower.asksForMetadata)
    #expect(KafkaErrorCode.notCoordinator.asksForCoordinator)
    #expect(KafkaErrorCode.invalidProducerEpoch.category == .fencing)
    #expect(KafkaErrorCode.transactionAbortable.category == .abortable)
    #expect(KafkaErrorCode.topicAuthorizationFailed.category == .fatal)
    #expect(KafkaErrorCode.none.category == .none && !KafkaErrorCode.none.isError)
  }

  @Test func codesBeyondTheTableAreCarried() {
    for raw in [Int16.min, -2, 134, 999, Int16.max] {
      let code = KafkaErrorCode(rawValue: raw)
      #expect(code.entry == nil && code.category == .fatal && code.isError && !code.isRetriable)
      #expect(code.name == "UNKNOWN_ERROR_\(raw)")
    }
  }
}
