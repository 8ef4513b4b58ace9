import Datasets
import Groundwork
import JobScheduling
import SystemInterfaces
import Testing

/// Large graphs: no stack overflows, and the steps that planning takes grow with the graph and no faster.
@Suite struct ScaleTests {
  /// A dataset behind the others that computes none of them, so that only planning is at stake.
  private static func end(_ workshop: Workshop, _ parents: [AnyRDD], label: String = "end") -> RDD<(Int, Int)> {
    RDD(
      workshop.context, label: label, partitionCount: 1, dependencies: parents.map { .narrow($0) },
      compute: { _, _, emit in try [(1, 1)].withUnsafeBufferPointer { try emit($0) } })
  }

  @Test func aLineageOf100000OperatorsCutByShuffles() throws {
    let workshop = Workshop()
    var dataset = Self.end(workshop, [])
    for _ in 0..<100 {
      for _ in 0..<1000 { dataset = dataset.map { $0 } }
      dataset = Self.end(workshop, [dataset]).reduceByKey(partitions: 1, +)
    }
    let result = try workshop.run(dataset)
    #expect(result.metrics.stages == 101)
    #expect(workshop.scheduler.planningSteps <= 103_000, "\(workshop.scheduler.planningSteps)")
    #expect(try workshop.run(dataset).metrics.stagesSkipped == 1)
    #expect(workshop.scheduler.planningSteps <= 103_010, "a stage that is skipped is not looked behind")
  }

  @Test func aUnionOf10000() throws {
    let workshop = Workshop()
    let parts = (0..<10_000).map { number in workshop.context.parallelize([number], partitionCount: 1) }
    let result = try workshop.run(workshop.context.union(parts))
    #expect(result.elements(Int.self) == Array(0..<10_000))
    #expect(workshop.scheduler.planningSteps <= 20_010)
  }

  @Test func aUnionOf10000Shuffles() throws {
    let workshop = Workshop()
    let parts = (0..<10_000).map { number in
      workshop.context.parallelize([(number, 1)], partitionCount: 1).reduceByKey(partitions: 1, +)
    }
    let result = try workshop.run(workshop.context.union(parts))
    #expect(result.metrics.stages == 10_001)
    #expect(result.elements((Int, Int).self)?.count == 10_000)
    #expect(workshop.scheduler.planningSteps <= 60_000, "\(workshop.scheduler.planningSteps)")
  }

  @Test func oneDatasetUsedByAThousand() throws {
    let workshop = Workshop()
    let computed = Tally()
    let pairs = workshop.context.parallelize(0..<4, partitionCount: 1).map { value -> (Int, Int) in
      computed.add(value)
      return (value, 1)
    }
    let base = pairs.reduceByKey(partitions: 1) { $0 + $1 }
    let children: [RDD<(Int, Int)>] = (0..<1000).map { number in
      // map, not mapValues: whoever may have changed keys needs a shuffle.
      let child = base.map { ($0.0, $0.1 + number) }
      return child.reduceByKey(partitions: 1) { $0 + $1 }
    }
    let result = try workshop.run(workshop.context.union(children))
    #expect(result.metrics.stages == 1002)
    #expect(computed.total == 4)
    #expect(workshop.scheduler.planningSteps <= 12_000, "\(workshop.scheduler.planningSteps)")
  }

  @Test func diamondsInAChain() throws {
    let workshop = Workshop()
    var narrow = Self.end(workshop, [])
    for _ in 0..<20_000 { narrow = Self.end(workshop, [narrow, narrow], label: "diamond") }
    _ = try workshop.run(narrow)
    #expect(workshop.scheduler.planningSteps <= 40_010, "\(workshop.scheduler.planningSteps)")
    #expect(narrow.weight(of: 0) > 0)

    let shuffled = Workshop()
    var pairs = Self.end(shuffled, [])
    for _ in 0..<500 {
      let one = pairs.map { $0 }.reduceByKey(partitions: 1) { max($0, $1) }
      let other = pairs.map { $0 }.reduceByKey(partitions: 1) { max($0, $1) }
      pairs = one.union(other)
    }
    let result = try shuffled.run(pairs)
    #expect(result.metrics.stages == 1001)
    #expect(shuffled.scheduler.planningSteps <= 10_000, "\(shuffled.scheduler.planningSteps)")
  }
}
