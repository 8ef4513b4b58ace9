import JobScheduling
import LinuxSystem
import Sluice
import StreamRuns
import Synchronization
import SystemInterfaces

/// Operators on one dataset, and their hand-written loops.
enum DatasetCases {
  static let needle: Bytes = "ea"

  static func all(_ input: Input, keys: Int) -> [Case] {
    [filterCount(input), wordCount(input), wordCountByValue(input), join(keys), sort(keys)]
  }

  /// A case of one action, measured from its call to its result.
  private static func action(
    _ name: String, items: Int, _ action: @escaping @Sendable (SluiceContext) throws -> Int,
    loop: @escaping () throws -> Int
  ) -> Case {
    Case(
      name: name, items: items, engine: { try DriverRun.measure(executors: $0, action) },
      loop: { try Measured.timing(loop) })
  }

  static func filterCount(_ input: Input) -> Case {
    action("filter-count", items: input.records) { context in
      try input.dataset(context).filter { $0.contains(needle) }.count()
    } loop: {
      var found = 0
      try input.visit { if $0.contains(needle) { found += 1 } }
      return found
    }
  }

  private static func countWords(_ input: Input) throws -> Int {
    var table = WordTable()
    try input.visit { line in
      for word in line.split(separator: " ") { table.add(word) }
    }
    return WordTable.sum(table.entries)
  }

  static func wordCount(_ input: Input) -> Case {
    action("word count, reduceByKey", items: input.records) { context in
      WordTable.sum(
        try input.dataset(context).flatMap { $0.split(separator: " ") }.map { ($0, 1) }.reduceByKey(+).collect())
    } loop: {
      try countWords(input)
    }
  }

  static func wordCountByValue(_ input: Input) -> Case {
    action("word count, countByValue", items: input.records) { context in
      WordTable.sum(try input.dataset(context).flatMap { $0.split(separator: " ") }.counted().collect())
    } loop: {
      try countWords(input)
    }
  }

  static func join(_ keys: Int) -> Case {
    action("join", items: 2 * keys) { context in
      let left = context.parallelize(0..<keys, partitionCount: 4).map { ($0, $0 &* 3) }
      let right = context.parallelize(0..<keys, partitionCount: 4).map { ($0 &* 2, $0) }
      return try left.join(right).map { key, values in key &+ values.0 &* values.1 }.aggregate(
        0, { $0 &+ $1 }, { $0 &+ $1 })
    } loop: {
      var table: [Int: Int] = [:]
      table.reserveCapacity(keys)
      for key in 0..<keys { table[key] = key &* 3 }
      var sum = 0
      for number in 0..<keys {
        if let value = table[number &* 2] { sum = sum &+ number &* 2 &+ value &* number }
      }
      return sum
    }
  }

  static func sort(_ keys: Int) -> Case {
    action("sort", items: keys) { context in
      let sorted = context.parallelize(0..<keys, partitionCount: 4).map { scrambled($0) }.sortBy { $0 }
      var place = 0
      return try sorted.collect().reduce(0) { sum, element in
        place += 1
        return sum &+ element &* place
      }
    } loop: {
      var sum = 0
      for (index, element) in (0..<keys).map({ scrambled($0) }).sorted().enumerated() {
        sum = sum &+ element &* (index + 1)
      }
      return sum
    }
  }

  /// Numbers in an order that no sort is grateful for.
  @Sendable static func scrambled(_ number: Int) -> Int {
    Int(truncatingIfNeeded: (UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15) >> 20)
  }
}

/// Something done on a driver's loop that stands for itself.
enum DriverRun {
  /// - Parameter blocks: the memory that datasets may use, for so many executors; nil: what a context has by itself.
  static func measure(
    executors: Int, blocks: ((World) throws -> BlockStore)? = nil, listener: (any SchedulerListener)? = nil,
    _ action: @escaping @Sendable (SluiceContext) throws -> Int
  ) throws -> Measured {
    let live = LiveWorld.make(executors: executors)
    defer { live.stop() }
    let loop = EpollLoop(named: "driver")
    let scheduler = DAGScheduler(loop: loop, runner: live.world.runner)
    if let listener { scheduler.addListener(listener) }
    let context = SluiceContext(
      runner: scheduler, defaultParallelism: 2, blocks: try blocks.map { try $0(live.world) })
    let outcome = Mutex<Result<Measured, any Error>?>(nil)
    loop.post {
      outcome.withLock { outcome in outcome = Result { try Measured.timing { try action(context) } } }
      loop.stop()
    }
    loop.waitUntilEnded()
    return try outcome.withLock { $0! }.get()
  }
}
