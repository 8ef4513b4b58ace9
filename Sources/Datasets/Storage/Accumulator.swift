import Groundwork
import Synchronization

/// How an accumulator adds up: what Spark calls AccumulatorV2. The initial value is neutral: merging it changes nothing.
public protocol Accumulation: Sendable {
  /// What tasks add.
  associatedtype Input
  /// What the driver reads.
  associatedtype Output
  /// Nothing added yet.
  init()
  /// Takes one more.
  mutating func add(_ input: Input)
  /// Takes what another task added.
  mutating func merge(_ other: Self)
  /// The result so far.
  var value: Output { get }
}

/// A variable that tasks add to and the driver reads: counts of what went wrong, sums beside the main result.
///
/// What a task adds stays with the task and counts when the task first succeeds: a task that failed, was repeated or lost
/// against a copy of itself adds nothing twice. In actions and output operations that is exactly once; what a
/// transformation adds counts again where the transformation is computed again (for another job, or because a shuffle's
/// output was lost): persist the dataset where that matters.
///
/// Sendable: the merged value stands under a lock.
public final class Accumulator<A: Accumulation>: Sendable {
  /// For people.
  public let name: String
  private let merged = Mutex(A())

  init(name: String) { self.name = name }

  /// What the tasks that succeeded have added. In the driver; a task sees what counted before.
  public var value: A.Output { merged.withLock { $0.value } }

  /// Begins again at nothing.
  public func reset() { merged.withLock { $0 = A() } }

  /// Adds, in a task that has its context at hand (`mapPartitions`, `foreachPartition`). O(accumulators of the task).
  public func add(_ input: A.Input, _ task: TaskContext) {
    if let pending = task.accumulated.first(where: { $0.target === self }) {
      // Only this accumulator makes pending values with itself as the target, so it is of its type.
      unsafeDowncast(pending, to: Pending.self).value.add(input)
      return
    }
    let pending = Pending(self)
    pending.value.add(input)
    task.accumulated.append(pending)
  }

  /// Adds: in a task, to what counts when the task succeeds; in the driver, at once.
  ///
  /// Finding the task takes some tens of nanoseconds; where that matters, pass the context.
  public func add(_ input: A.Input) {
    if let task = TaskContext.current {
      add(input, task)
    } else {
      merged.withLock { $0.add(input) }
    }
  }

  /// What one task attempt added.
  ///
  /// Sendable: as the class above it, used by one attempt and then by the loop only.
  private final class Pending: PendingAccumulation, @unchecked Sendable {
    let accumulator: Accumulator
    var value = A()

    init(_ accumulator: Accumulator) {
      self.accumulator = accumulator
      super.init(target: accumulator)
    }

    override func merge() { accumulator.merged.withLock { $0.merge(value) } }
  }
}

/// What a task attempt added to one accumulator.
///
/// Sendable: written by the attempt only, and read by the scheduler's loop once the attempt has ended.
public class PendingAccumulation: @unchecked Sendable {
  let target: AnyObject

  init(target: AnyObject) { self.target = target }

  /// Adds it to the accumulator; once, when the attempt is the first of its task that succeeds.
  package func merge() {}
}

/// A sum of integers; wraps around at 2^63.
public struct LongAccumulation: Accumulation {
  /// The sum.
  public private(set) var value = 0
  /// 0.
  public init() {}
  /// Adds a number.
  public mutating func add(_ input: Int) { value &+= input }
  /// Adds another sum.
  public mutating func merge(_ other: LongAccumulation) { value &+= other.value }
}

/// A sum of floating-point numbers. Tasks' sums are added in the order in which the tasks end, so the last digits may
/// differ from run to run.
public struct DoubleAccumulation: Accumulation {
  /// The sum.
  public private(set) var value = 0.0
  /// 0.
  public init() {}
  /// Adds a number.
  public mutating func add(_ input: Double) { value += input }
  /// Adds another sum.
  public mutating func merge(_ other: DoubleAccumulation) { value += other.value }
}

/// A list; those of the tasks follow each other in the order in which the tasks end.
public struct CollectionAccumulation<Element: Sendable>: Accumulation {
  /// The elements.
  public private(set) var value: [Element] = []
  /// No elements.
  public init() {}
  /// Appends an element.
  public mutating func add(_ input: Element) { value.append(input) }
  /// Appends another list.
  public mutating func merge(_ other: CollectionAccumulation) { value += other.value }
}

extension SluiceContext {
  /// An accumulator of one's own kind.
  public func accumulator<A: Accumulation>(_ kind: A.Type, name: String = "accumulator") -> Accumulator<A> {
    Accumulator(name: name)
  }

  /// A sum of integers.
  public func longAccumulator(_ name: String = "accumulator") -> Accumulator<LongAccumulation> {
    Accumulator(name: name)
  }

  /// A sum of floating-point numbers.
  public func doubleAccumulator(_ name: String = "accumulator") -> Accumulator<DoubleAccumulation> {
    Accumulator(name: name)
  }

  /// A list.
  public func collectionAccumulator<Element: Sendable>(
    _ type: Element.Type = Element.self, _ name: String = "accumulator"
  ) -> Accumulator<CollectionAccumulation<Element>> { Accumulator(name: name) }
}

extension TaskContext {
  /// The task that runs here. Set for the extent of a task's work on the stack, so nothing depends on which thread it is.
  @TaskLocal private static var running: Running?

  /// Sendable: handed only down the stack of the one task that it belongs to.
  private struct Running: @unchecked Sendable {
    let task: TaskContext
  }

  /// The task whose work this is; nil in the driver.
  public static var current: TaskContext? { running?.task }

  /// Runs a task's work, during which it is `current`.
  package func perform<Output>(_ work: () throws -> Output) rethrows -> Output {
    try TaskContext.$running.withValue(Running(task: self), operation: work)
  }
}
