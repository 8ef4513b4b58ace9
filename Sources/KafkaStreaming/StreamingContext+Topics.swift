import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming

extension StreamingContext {
  /// A stream of the records of topics: each batch holds, of every partition, the range of offsets that had arrived when
  /// its interval ended. One dataset partition a topic partition, unless settings ask for more.
  ///
  /// The job begins where its own log ends, else where its consumer group, which carries the job's name, has committed,
  /// and commits after each batch's output. Partitions and, for a pattern, topics that are added while it runs join in
  /// with their first record. A definition that cannot be is reported by `start`; a partition belongs to one stream of a
  /// job.
  /// - Parameters:
  ///   - startingOffsets: where to begin where neither log nor group knows; nil takes the setting
  ///     `sluice.kafka.startingOffsets`, else earliest.
  ///   - endingOffsets: where a job ends that works through what is there (`--available-now`); nil takes the setting
  ///     `sluice.kafka.endingOffsets`, else latest.
  ///   - onDataLoss: what to do where records are gone; nil takes the setting `sluice.kafka.onDataLoss`, else fail.
  ///   - parameters: Kafka's consumer parameters, such as `fetch.min.bytes`; those that would take the offsets out of the
  ///     job's hands are refused.
  public func topicStream(
    _ subscription: TopicSubscription, startingOffsets: StartingOffsets? = nil, endingOffsets: EndingOffsets? = nil,
    onDataLoss: DataLossPolicy? = nil, parameters: [String: String] = [:]
  ) -> DStream<ConsumerRecord> {
    do {
      try subscription.check()
      let settings = try SourceSettings(
        SourceSettings.Definition(
          start: startingOffsets, end: endingOffsets, onDataLoss: onDataLoss, parameters: parameters),
        settings: environment.settings)
      let claims = attachment(TopicClaims.self) { TopicClaims() }
      try claims.claim(subscription)
      let source = KafkaSource(
        try kafka(), subscription, group: environment.jobName, settings: settings,
        checkpointDirectory: environment.checkpointDirectory, claims: claims)
      let stream = inputStream(source, label: "topics") { [sluice] batch, plan in
        source.dataset(plan, of: batch, sluice)
      }
      if settings.commitsOffsets { source.connection.transactions.add(source) }
      attachment(TopicSources.self) { TopicSources() }.byStream[ObjectIdentifier(stream)] = source
      atRelease { source.release() }
      return stream
    } catch {
      note((error as? StreamingError) ?? .invalidDefinition("\(error)"))
      return inputStream(QueueSource<ConsumerRecord>(), label: "topics") { [sluice] _, _ in sluice.empty() }
    }
  }

  /// A stream of the records of these topics.
  public func topicStream(
    _ topics: [String], startingOffsets: StartingOffsets? = nil, endingOffsets: EndingOffsets? = nil,
    onDataLoss: DataLossPolicy? = nil, parameters: [String: String] = [:]
  ) -> DStream<ConsumerRecord> {
    topicStream(
      .topics(topics), startingOffsets: startingOffsets, endingOffsets: endingOffsets, onDataLoss: onDataLoss,
      parameters: parameters)
  }

  /// A stream of the records of one topic.
  public func topicStream(
    _ topic: String, startingOffsets: StartingOffsets? = nil, endingOffsets: EndingOffsets? = nil,
    onDataLoss: DataLossPolicy? = nil, parameters: [String: String] = [:]
  ) -> DStream<ConsumerRecord> {
    topicStream(
      .topics([topic]), startingOffsets: startingOffsets, endingOffsets: endingOffsets, onDataLoss: onDataLoss,
      parameters: parameters)
  }

  /// A dataset of exact offset ranges, one partition a range: a batch read beside the streams.
  ///
  /// Read when it is computed, by tasks that ask for what they need; records that are gone fail the action with an error
  /// that names the range. Nothing is committed.
  /// - Throws: `StreamingError.invalidDefinition` for a range that ends before it begins.
  public func kafkaRDD(_ ranges: [OffsetRange]) throws -> RDD<ConsumerRecord> {
    for range in ranges where range.until < range.from || range.from.rawValue < 0 {
      throw StreamingError.invalidDefinition("kafkaRDD: \(range) ends before it begins, or begins before 0")
    }
    let settings = try SourceSettings(settings: environment.settings)
    let connection = try kafka()
    let fetched = FetchedBatches(bytesMax: settings.fetchedBytesMax)
    return KafkaDataset.records(sluice, ranges.map { ($0, 0) }, from: fetched) { range in
      RangeFetch(range: range, number: 0, isolation: settings.isolation, client: connection.client, fetched: fetched)
    }
  }

  /// Makes a topic before the job begins, where it does not exist yet.
  /// - Parameter settings: Kafka's topic settings, such as `retention.ms`.
  public func createTopic(_ name: String, partitions: Int, settings: [String: String] = [:]) {
    do {
      let connection = try kafka()
      beforeStart { then in
        connection.createTopic(name, partitions: Int32(clamping: partitions), settings: settings, then: then)
      }
    } catch {
      note((error as? StreamingError) ?? .invalidDefinition("\(error)"))
    }
  }
}

/// Which source stands behind which stream. Confined as the context is.
final class TopicSources {
  var byStream: [ObjectIdentifier: KafkaSource] = [:]
}

extension DStream where Element == ConsumerRecord {
  /// Commits the ends of ranges for the job's consumer group, with `sluice.kafka.autoCommit=false`: for who keeps to the
  /// order of his own output. Call it on the driver, in `foreachRDD`, with a batch's `offsetRanges`; it goes out at once,
  /// or behind the commit that is under way.
  /// - Parameter then: called on the driver's loop when they are stored, with the error where they are not. A stream that
  ///   does not read topics itself, such as the result of `filter`, has nothing to commit: an error says so.
  public func commitAsync(_ ranges: [OffsetRange], then: @escaping @Sendable ((any Error)?) -> Void = { _ in }) {
    let source = context.attachment(TopicSources.self) { TopicSources() }.byStream[ObjectIdentifier(self)]
    guard let source else {
      return then(StreamingError.invalidDefinition("commitAsync: call it on the stream that topicStream gave"))
    }
    source.commit(ranges, then: then)
  }
}
