import Groundwork
import Synchronization

/// The dependency across which elements change partitions: its map side is a stage of its own.
///
/// Sendable: its properties are constant, and the output guards itself.
public final class ShuffleDependency: Sendable {
  /// The dataset whose elements change partitions.
  public let parent: AnyRDD
  /// Partitions they change to.
  public let reducePartitions: Int
  /// What the map tasks wrote. It lives as long as a dataset that can read it, and no longer: nothing has to clean up.
  public let output: ShuffleOutput
  /// Computes one partition of the parent and gives a block for each reduce partition, nil where it has nothing for one.
  public let map: @Sendable (_ partition: Int, _ task: TaskContext) throws -> [ShuffleBlock?]

  /// A shuffle whose output is still to be written.
  /// - Parameters:
  ///   - parent: the dataset whose partitions the map tasks compute.
  ///   - reducePartitions: how many blocks `map` returns.
  ///   - map: see the property of that name; it runs in tasks, on any executor.
  public init(
    parent: AnyRDD, reducePartitions: Int,
    map: @escaping @Sendable (_ partition: Int, _ task: TaskContext) throws -> [ShuffleBlock?]
  ) {
    self.parent = parent
    self.reducePartitions = reducePartitions
    self.map = map
    output = ShuffleOutput(mapPartitions: parent.partitionCount)
  }
}

/// Elements that one map task has for one reduce partition; the typed subclass holds them.
///
/// Sendable: a block is filled by the task that makes it and only read once it was handed over.
open class ShuffleBlock: @unchecked Sendable {
  /// Elements in the block.
  public let count: Int
  /// Whether the elements are on disk: then it is a `SpilledBlock`.
  @usableFromInline let isSpilled: Bool

  /// Bytes of the elements: in memory without what they refer to, on disk as they are stored.
  open var byteCount: Int { 0 }

  /// For subclasses: `count` is the number of elements that they hold.
  public init(count: Int) {
    self.count = count
    isSpilled = false
  }

  /// A block on disk of so many elements.
  init(spilled count: Int) {
    self.count = count
    isSpilled = true
  }
}

/// A block of elements in an array.
///
/// Sendable: constant, see ShuffleBlock.
public final class ArrayBlock<Element>: ShuffleBlock, @unchecked Sendable {
  /// The elements, in the order in which the map task gave them.
  public let elements: ContiguousArray<Element>
  /// The room in memory that the blocks of one map task share, given back with the last of them.
  @usableFromInline let lease: MemoryLease?

  /// Bytes of the elements, without what they refer to.
  public override var byteCount: Int { elements.count * MemoryLayout<Element>.stride }

  /// A block of these elements, which must be detached: they outlive the task that computed them.
  @inlinable public convenience init(_ elements: ContiguousArray<Element>) { self.init(elements, lease: nil) }

  @inlinable init(_ elements: ContiguousArray<Element>, lease: MemoryLease?) {
    self.elements = elements
    self.lease = lease
    super.init(count: elements.count)
  }
}

/// The blocks that the map tasks of one shuffle wrote.
public final class ShuffleOutput: Sendable {
  private struct State {
    var blocks: [[ShuffleBlock?]?]
    var missing: Int
  }
  private let state: Mutex<State>

  init(mapPartitions: Int) {
    state = Mutex(State(blocks: Array(repeating: nil, count: mapPartitions), missing: mapPartitions))
  }

  /// The map partitions whose output is not there, in order.
  public var missingMapPartitions: [Int] {
    state.withLock { state in state.missing == 0 ? [] : state.blocks.indices.filter { state.blocks[$0] == nil } }
  }

  /// Whether every map partition's output is there.
  public var isComplete: Bool { state.withLock { $0.missing == 0 } }

  /// Keeps the blocks of the first attempt of a map task that succeeds; later ones change nothing.
  public func store(_ blocks: [ShuffleBlock?], ofMap partition: Int) {
    state.withLock { state in
      guard state.blocks[partition] == nil else { return }
      state.blocks[partition] = blocks
      state.missing -= 1
    }
  }

  /// Forgets the output of one map partition, as after a loss: readers then report it missing.
  public func drop(ofMap partition: Int) {
    state.withLock { state in
      guard state.blocks[partition] != nil else { return }
      state.blocks[partition] = nil
      state.missing += 1
    }
  }

  /// As `drop(ofMap:)`, unless the map task has run again since `block` was read.
  func drop(ofMap partition: Int, holding block: ShuffleBlock) {
    state.withLock { state in
      guard state.blocks.indices.contains(partition), let blocks = state.blocks[partition],
        blocks.contains(where: { $0 === block })
      else { return }
      state.blocks[partition] = nil
      state.missing += 1
    }
  }

  /// The blocks for one reduce partition in the order of the map partitions, which makes merging deterministic.
  /// - Throws: `ShuffleOutputMissing` where a map partition's output is not there.
  public func blocks(forReduce partition: Int) throws(ShuffleOutputMissing) -> [ShuffleBlock] {
    let found: [ShuffleBlock]? = state.withLock { state in
      guard state.missing == 0 else { return nil }
      return state.blocks.compactMap { $0![partition] }
    }
    guard let found else { throw ShuffleOutputMissing() }
    return found
  }

  /// Expected work of reading one reduce partition, in nanoseconds: about 50 an element.
  func weight(ofReduce partition: Int) -> Int64 {
    state.withLock { state in
      state.blocks.reduce(0) { sum, blocks in
        guard let blocks, partition < blocks.count else { return sum }
        return sum + Int64((blocks[partition]?.count ?? 0) * 50)
      }
    }
  }
}

/// A reduce task found that a parent's output is gone: the scheduler runs the parent's missing tasks again.
public struct ShuffleOutputMissing: Error, Sendable {
  /// Carries nothing: the scheduler asks the stage's shuffles which outputs are missing.
  public init() {}
}
