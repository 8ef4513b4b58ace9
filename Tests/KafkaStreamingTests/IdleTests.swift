import Datasets
import Groundwork
import KafkaStreaming
import Streaming
import Testing

/// A topic in which nothing happens costs a job nothing, and says nothing about its speed.
@Suite struct IdleTests {
  @Test func nothingIsFetchedAndNothingIsLimited() throws {
    let path = try PathHarness()
    try path.createTopic("in", partitions: 3)
    let job = try PathJob(path) { context in
      context.topicStream("in").saveToTopic("out") { ProducerRecord(value: $0.value) }
    }
    try job.start()
    try job.advance(5)
    // One partition of three has a record, once.
    try path.produce("in", values: ["one"])
    try job.advance(10)
    try job.stop()
    #expect(try path.values("out") == ["one"])
    #expect(job.batches.count >= 14)
    #expect(job.jobs.inputsFetched.value == 0, "there is nothing to fetch of an empty range")
    let reasons = job.batches.compactMap { $0.inputs[0].plan.limitReason }
    #expect(reasons == [])
    #expect(job.batches.allSatisfy { $0.rates["topics in"]?.rate == nil }, "nothing was measured")
  }
}
