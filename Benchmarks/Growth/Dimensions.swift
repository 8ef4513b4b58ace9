import LinuxSystem
import Sluice
import StreamRuns

/// What may grow in a job.
enum Dimensions {
  static let all = [
    partitions, shuffledPartitions, distinctKeys, updatedState, mappedState, operators, outputs, batches,
  ]

  /// Seconds a batch, after one that warms up.
  private static func cost(
    batches: Int, unmeasured: Int = 1, checkpoint: String? = nil, settings: [String: String] = [:],
    _ define: (StreamingContext, CountedSource, Tally) throws -> Void
  ) throws -> Double {
    let measured = try StreamRun.measure(
      executors: 2, batches: batches + unmeasured, unmeasured: unmeasured, checkpoint: checkpoint, settings: settings,
      define)
    return measured.seconds / Double(batches)
  }

  /// A stream of the same numbers in every batch.
  private static func numbers(
    _ context: StreamingContext, _ source: CountedSource, _ count: Int, partitions: Int
  ) -> DStream<Int> {
    context.inputStream(source, label: "numbers") { [sluice = context.sluice] _, _ in
      sluice.range(count, partitionCount: partitions)
    }
  }

  // MARK: Partitions

  static let partitions = Dimension(
    "partitions", "100 numbers each, filtered and counted", sizes: [1, 3, 10, 30, 100, 300, 1_000],
    smokeSizes: [10, 100]
  ) { size in
    try cost(batches: max(20, 2_000 / size)) { context, source, tally in
      numbers(context, source, 100 * size, partitions: size).filter { $0 % 3 == 0 }
        .foreachRDD { tally.add(Int(try $0.count())) }
    }
  }

  static let shuffledPartitions = Dimension(
    "partitions on both sides of a shuffle", "10,000 numbers, summed by 1,000 keys",
    sizes: [1, 3, 10, 30, 100, 300, 1_000], smokeSizes: [10, 100]
  ) { size in
    try cost(batches: max(5, 300 / size)) { context, source, tally in
      numbers(context, source, 10_000, partitions: size).map { ($0 % 1_000, $0) }
        .reduceByKey(partitions: size) { $0 &+ $1 }
        .foreachRDD { tally.add(Int(try $0.count())) }
    }
  }

  // MARK: Keys

  static let distinctKeys = Dimension(
    "keys of a batch", "each key once, summed by key", sizes: [1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    smokeSizes: [1_000, 10_000]
  ) { size in
    try cost(batches: max(2, 2_000_000 / size)) { context, source, tally in
      numbers(context, source, size, partitions: 4).map { ($0, 1) }.reduceByKey { $0 &+ $1 }
        .foreachRDD { tally.add(Int(try $0.count())) }
    }
  }

  /// All keys in the first batch, then 1,000 a batch. The first two are not measured: the second puts the first one's
  /// changes into the state.
  private static func touched(
    _ context: StreamingContext, _ source: CountedSource, keys: Int
  ) -> DStream<(Int, Int)> {
    context.inputStream(source, label: "keys") { [sluice = context.sluice] batch, _ in
      let number = Int(batch.number.rawValue)
      return sluice.range(number == 1 ? keys : 1_000, partitionCount: 4).map { place in
        (number == 1 ? place : (place &* 7_919 &+ number &* 104_729) % keys, 1)
      }
    }
  }

  static let mappedState = Dimension(
    "keys of mapWithState", "1,000 of them touched", sizes: [1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    smokeSizes: [1_000, 10_000]
  ) { size in
    try cost(batches: 50, unmeasured: 2) { context, source, tally in
      touched(context, source, keys: size)
        .mapWithState(
          .function { (key: Int, value: Int?, state: State<Int>) -> Int in
            state.update((state.get() ?? 0) &+ (value ?? 0))
            return key
          }
        )
        .foreachRDD { tally.add(Int(try $0.count())) }
    }
  }

  static let updatedState = Dimension(
    "keys of updateStateByKey", "1,000 of them touched, the function called for all",
    sizes: [1_000, 10_000, 100_000, 1_000_000, 10_000_000], smokeSizes: [1_000, 10_000]
  ) { size in
    try cost(batches: 20, unmeasured: 2) { context, source, tally in
      touched(context, source, keys: size)
        .updateStateByKey { (values: [Int], state: Int?) in values.reduce(state ?? 0) { $0 &+ $1 } }
        .foreachRDD { tally.add(Int(try $0.count())) }
    }
  }

  // MARK: Operators

  static let operators = Dimension(
    "operators in a row", "1,000 numbers through each", sizes: [1, 3, 10, 30, 100, 200], smokeSizes: [10, 100]
  ) { size in
    try cost(batches: 200) { context, source, tally in
      var stream = numbers(context, source, 1_000, partitions: 4)
      for step in 0..<size { stream = stream.map { $0 &+ step } }
      stream.foreachRDD { tally.add(Int(try $0.count())) }
    }
  }

  static let outputs = Dimension(
    "output operations", "1,000 numbers to each", sizes: [1, 3, 10, 30, 100, 200], smokeSizes: [10, 100]
  ) { size in
    try cost(batches: 100) { context, source, tally in
      let stream = numbers(context, source, 1_000, partitions: 4)
      for step in 0..<size {
        stream.filter { $0 % size == step }
          .foreachRDD { rdd in
            let count = Int(try rdd.count())
            if step == size - 1 { tally.add(count) }
          }
      }
    }
  }

  // MARK: Batches

  /// Each size counts from the one before it: what a batch costs so late.
  static let batches = Dimension(
    "batches so far", "100 of 1,000 keys' states touched, plan, commit and state logged",
    sizes: [10, 100, 1_000, 10_000, 100_000], smokeSizes: [10, 100]
  ) { sizes in
    let folder = "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-growth-\(ThisProcess.pid)"
    defer { try? LinuxFileStore().removeTree(folder) }
    let laps = Laps(at: sizes)
    _ = try StreamRun.measure(
      executors: 2, batches: sizes.last ?? 0, checkpoint: folder,
      settings: ["sluice.streaming.checkpoint.sync": "none"]
    ) { context, source, tally in
      context.inputStream(source, label: "keys") { [sluice = context.sluice] batch, _ in
        let number = Int(batch.number.rawValue)
        return sluice.range(100, partitionCount: 4).map { (($0 &* 7_919 &+ number &* 104_729) % 1_000, 1) }
      }
      .mapWithState(
        .function { (key: Int, value: Int?, state: State<Int>) -> Int in
          state.update((state.get() ?? 0) &+ (value ?? 0))
          return key
        }
      )
      .foreachRDD {
        tally.add(Int(try $0.count()))
        laps.batchIsDone()
      }
    }
    return laps.costs
  }
}
