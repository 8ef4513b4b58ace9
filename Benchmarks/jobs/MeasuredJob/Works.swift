import Sluice

/// What is measured.
enum Works {
  /// Every record's value: how many, how long, and their hashes.
  static func count(_ records: DStream<ConsumerRecord>, _ sums: Sums) {
    records.foreachRDD { batch in sums.add(values: try sum(batch)) }
  }

  /// The same of those that hold a certain text, or how many they are in each batch.
  static func filter(_ records: DStream<ConsumerRecord>, _ sums: Sums, output: String?) {
    let needle: Bytes = "ea"
    let matches = records.filter { $0.value.contains(needle) }
    if let output {
      matches.count().saveToTopic(output) { ProducerRecord(value: Bytes("\($0)")) }
    } else {
      matches.foreachRDD { batch in sums.add(matches: try sum(batch)) }
    }
  }

  /// How often each word occurs in a batch.
  static func words(_ records: DStream<ConsumerRecord>, _ sums: Sums, output: String?) {
    let counts = records.flatMap { $0.value.split(separator: " ") }.countByValue()
    if let output {
      counts.saveToTopic(output) { word, count in ProducerRecord(key: word, value: Bytes("\(count)")) }
    } else {
      counts.foreachRDD { batch in
        let total = try batch.aggregate(
          WordSum(), { sum, pair in sum.adding(pair.0, pair.1) }, { $0.adding($1) })
        sums.add(words: total)
      }
    }
  }

  /// How often each word occurred in the last ten batches.
  static func window(_ records: DStream<ConsumerRecord>, _ interval: Duration, output: String?) {
    let pairs = records.flatMap { $0.value.split(separator: " ") }.map { ($0, 1) }
    let counts = pairs.reduceByKeyAndWindow(window: interval * 10, inverse: { $0 - $1 }) { $0 + $1 }
    if let output {
      counts.saveToTopic(output) { word, count in ProducerRecord(key: word, value: Bytes("\(count)")) }
    } else {
      counts.foreachRDD { _ = try $0.count() }
    }
  }

  /// Every value into another topic, in lz4.
  static func copy(_ records: DStream<ConsumerRecord>, to topic: String) {
    records.saveToTopic(topic) { ProducerRecord(value: $0.value) }
  }

  /// Every value as a line of text, in files that are rolled by size.
  static func files(_ records: DStream<ConsumerRecord>, to folder: String) {
    records.saveToFiles(folder, rolling: RollingPolicy(size: 256 << 20))
  }

  private static func sum(_ batch: RDD<ConsumerRecord>) throws -> ValueSum {
    try batch.aggregate(ValueSum(), { sum, record in sum.adding(record.value) }, { $0.adding($1) })
  }
}
