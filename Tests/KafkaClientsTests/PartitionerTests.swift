import Groundwork
import Testing

@testable import KafkaClients

@Suite struct PartitionerTests {
  /// The vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
  @Test(
    arguments: [
      ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
      ("a-little-bit-longer-string", -1_486_304_829),
      ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
    ] as [(String, Int32)])
  func murmur2EqualsJavas(text: String, expected: Int32) {
    #expect(murmur2(Bytes(text)) == expected)
  }

  @Test func keysStayAndNullKeysStickUntilABatchIsFull() {
    var partitioner = Partitioner()
    let keyed = partitioner.partition(topic: "t", key: "abc", count: 7, random: 0)
    #expect(keyed.rawValue == 479_470_107 % 7)
    let negative = partitioner.partition(topic: "t", key: "21", count: 7, random: 0)
    #expect(negative.rawValue == (Int32(-973_932_308) & Int32.max) % 7)
    #expect(partitioner.partition(topic: "t", key: nil, count: 7, random: 3) == 3)
    #expect(partitioner.partition(topic: "t", key: nil, count: 7, random: 5) == 3)
    partitioner.batchClosed(TopicPartition("t", 2))
    #expect(partitioner.partition(topic: "t", key: nil, count: 7, random: 5) == 3)
    partitioner.batchClosed(TopicPartition("t", 3))
    #expect(partitioner.partition(topic: "t", key: nil, count: 7, random: 5) == 5)
    #expect(partitioner.partition(topic: "t", key: nil, count: 2, random: 1) == 1)
  }
}
