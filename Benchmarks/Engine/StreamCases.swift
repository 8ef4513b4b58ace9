import Sluice
import StreamRuns

/// Windows and state, batch by batch, and their hand-written loops.
enum StreamCases {
  static func all(_ input: Input, keys: Int) -> [Case] {
    let few = min(1_000, keys)
    return [
      windowedReduce(input),
      updateState("updateStateByKey, few keys touched", keys, Touches(keys: keys, perBatch: few, batches: 10)),
      mapWithState("mapWithState, few keys touched", keys, Touches(keys: keys, perBatch: few, batches: 10)),
      updateState("updateStateByKey, all keys touched", keys, Touches(keys: keys, perBatch: keys, batches: 3)),
      mapWithState("mapWithState, all keys touched", keys, Touches(keys: keys, perBatch: keys, batches: 3)),
    ]
  }

  // MARK: Windows

  /// Words of the last ten batches, counted after each batch.
  static func windowedReduce(_ input: Input) -> Case {
    let windowBatches = 10
    let step = max(1, input.depth / 40)
    let batches = input.depth / step
    @Sendable func part(_ batch: Int) -> Range<Int> { batch * step..<(batch + 1) * step }
    return Case(
      name: "windowed reduce", items: input.records / input.depth * step * batches, batches: batches
    ) { executors in
      try StreamRun.measure(executors: executors, batches: batches) { context, source, tally in
        let lines = context.inputStream(source, label: "lines") { [sluice = context.sluice] batch, _ in
          input.dataset(sluice, part(Int(batch.number.rawValue) - 1))
        }
        lines.flatMap { $0.split(separator: " ") }.map { ($0, 1) }
          .reduceByKeyAndWindow(window: context.batchInterval * windowBatches, inverse: { $0 - $1 }) { $0 + $1 }
          .foreachRDD { tally.add(WordTable.sum(try $0.collect())) }
      }
    } loop: {
      try Measured.timing {
        var window = WordTable()
        var tables: [WordTable] = []
        var sum = 0
        for batch in 0..<batches {
          var table = WordTable()
          try input.visit(part(batch)) { line in
            for word in line.split(separator: " ") { table.add(word) }
          }
          for (word, count) in table.entries { window.add(word, count) }
          tables.append(table)
          if tables.count > windowBatches {
            for (word, count) in tables.removeFirst().entries { window.add(word, -count) }
          }
          sum = sum &+ WordTable.sum(window.entries)
        }
        return sum
      }
    }
  }

  // MARK: State

  /// Which keys a batch touches: in the first one all, later some or all. The first two are not measured: the second pays
  /// for putting the first one's changes into the state.
  struct Touches: Sendable {
    var keys: Int
    var perBatch: Int
    /// Those that are measured.
    var batches: Int

    /// The pairs of a batch; 0 is the first one.
    func pair(_ batch: Int, _ number: Int) -> (Int, Int) {
      batch == 0 || perBatch == keys ? (number, batch) : ((number &* 997 &+ batch &* 7_919) % keys, batch)
    }
    func count(_ batch: Int) -> Int { batch == 0 ? keys : perBatch }

    func stream(_ context: StreamingContext, _ source: CountedSource) -> DStream<(Int, Int)> {
      context.inputStream(source, label: "pairs") { [sluice = context.sluice] batch, _ in
        let index = Int(batch.number.rawValue) - 1
        return sluice.range(count(index), partitionCount: 4).map { pair(index, $0) }
      }
    }
  }

  /// All keys' sums after each batch: the function is called for every key.
  static func updateState(_ name: String, _ keys: Int, _ touches: Touches) -> Case {
    Case(name: name, items: touches.perBatch * touches.batches, batches: touches.batches) { executors in
      try StreamRun.measure(executors: executors, batches: touches.batches + 2, unmeasured: 2) {
        context, source, tally in
        touches.stream(context, source)
          .updateStateByKey { (values: [Int], state: Int?) in values.reduce(state ?? 0) { $0 &+ $1 } }
          .foreachRDD { states in
            tally.add(try states.aggregate(0, { $0 &+ $1.0 &* $1.1 }, { $0 &+ $1 }))
          }
      }
    } loop: {
      var states: [Int: Int] = [:]
      func run(_ batch: Int) -> Int {
        var values: [Int: [Int]] = [:]
        for number in 0..<touches.count(batch) {
          let (key, value) = touches.pair(batch, number)
          values[key, default: []].append(value)
        }
        for key in values.keys where states[key] == nil { states[key] = 0 }
        var sum = 0
        for index in states.indices {
          let key = states[index].key
          for value in values[key] ?? [] { states.values[index] &+= value }
          sum = sum &+ key &* states.values[index]
        }
        return sum
      }
      _ = run(0)
      _ = run(1)
      return Measured.timing { (2...touches.batches + 1).reduce(0) { $0 &+ run($1) } }
    }
  }

  /// The sums of the keys that a batch touches.
  static func mapWithState(_ name: String, _ keys: Int, _ touches: Touches) -> Case {
    Case(name: name, items: touches.perBatch * touches.batches, batches: touches.batches) { executors in
      try StreamRun.measure(executors: executors, batches: touches.batches + 2, unmeasured: 2) {
        context, source, tally in
        touches.stream(context, source)
          .mapWithState(
            .function { (key: Int, value: Int?, state: State<Int>) -> Int in
              let sum = (state.get() ?? 0) &+ (value ?? 0)
              state.update(sum)
              return key &* sum
            }
          )
          .foreachRDD { sums in tally.add(try sums.aggregate(0, { $0 &+ $1 }, { $0 &+ $1 })) }
      }
    } loop: {
      var states: [Int: Int] = [:]
      func run(_ batch: Int) -> Int {
        var sum = 0
        for number in 0..<touches.count(batch) {
          let (key, value) = touches.pair(batch, number)
          let state = states[key, default: 0] &+ value
          states[key] = state
          sum = sum &+ key &* state
        }
        return sum
      }
      _ = run(0)
      _ = run(1)
      return Measured.timing { (2...touches.batches + 1).reduce(0) { $0 &+ run($1) } }
    }
  }
}
