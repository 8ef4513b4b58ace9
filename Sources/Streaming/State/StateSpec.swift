import Datasets
import Groundwork

/// The state of one key, in the hands of a `mapWithState` function.
///
/// It is valid during the call and used again for the next one: keep the value, not this object.
public final class State<Value: StreamCodable> {
  @usableFromInline enum Change { case none, updated, removed }
  @usableFromInline var current: Value?
  @usableFromInline var change = Change.none
  @usableFromInline var misuse: StaticString?
  /// Whether the key is given up because nothing came for it during the timeout: the state can be read for the last time.
  public internal(set) var isTimingOut = false

  init() {}

  @inlinable func load(_ value: Value?, isTimingOut: Bool) {
    current = value
    change = .none
    setTimingOut(isTimingOut)
  }

  @usableFromInline func setTimingOut(_ value: Bool) { isTimingOut = value }

  /// Whether the key has a state.
  @inlinable public var exists: Bool { current != nil }

  /// The key's state; nil where it has none.
  @inlinable public func get() -> Value? { current }

  /// Sets the key's state. `Bytes` inside a struct should be `copied`, lest they keep the memory of a whole batch.
  ///
  /// Not while it times out: the batch then fails and says so.
  @inlinable public func update(_ value: Value) {
    if isTimingOut { misuse = "update" }
    current = value
    change = .updated
  }

  /// Removes the key's state.
  ///
  /// Not while it times out, when it is removed anyway: the batch then fails and says so.
  @inlinable public func remove() {
    if isTimingOut { misuse = "remove" }
    current = nil
    change = .removed
  }
}

/// What `mapWithState` does with each pair, and how it keeps the state: what Spark calls StateSpec.
public struct StateSpec<Key: Hashable & Sendable & StreamCodable, Value, S: StreamCodable, Mapped: Sendable>: Sendable {
  /// Called for each pair of a batch, and with a nil value for each key that times out.
  public typealias Function = @Sendable (Timestamp, Key, Value?, State<S>) throws -> Mapped?

  @usableFromInline let function: Function
  @usableFromInline var timeoutDuration: Duration?
  @usableFromInline var partitions: Int?
  @usableFromInline var initial: @Sendable (SluiceContext) -> RDD<(Key, S)>? = { _ in nil }
  @usableFromInline var schema = StateSchema<S>()

  @usableFromInline init(_ function: @escaping Function) { self.function = function }

  /// From a function of the pair and its key's state; what it returns is an element of the result.
  @inlinable public static func function(
    _ function: @escaping @Sendable (_ key: Key, _ value: Value?, _ state: State<S>) throws -> Mapped
  ) -> Self {
    Self { _, key, value, state in try function(key, value, state) }
  }

  /// From a function that hears the batch's time as well, and may return nothing.
  @inlinable public static func function(_ function: @escaping Function) -> Self { Self(function) }

  /// Gives a key up that no pair came for during `duration` (of batch time): the function is called once more for it.
  public func timeout(_ duration: Duration) -> Self {
    var copy = self
    copy.timeoutDuration = duration
    return copy
  }

  /// The number of state partitions; where none is given it stays what it was at the first start.
  public func numPartitions(_ count: Int) -> Self {
    var copy = self
    copy.partitions = count
    return copy
  }

  /// The state before the job's first batch; a restart does not look at it.
  public func initialState(_ pairs: [(Key, S)]) -> Self {
    var copy = self
    copy.initial = { $0.parallelize(pairs) }
    return copy
  }

  /// The state before the job's first batch; a restart does not look at it.
  public func initialState(_ dataset: RDD<(Key, S)>) -> Self {
    var copy = self
    copy.initial = { _ in dataset }
    return copy
  }

  /// The version of the state's encoding: see `StateSchema`.
  public func version(_ version: Int) -> Self {
    var copy = self
    copy.schema = schema.with(version: version)
    return copy
  }

  /// Reads state that older code has written: see `StateSchema.migrating`.
  public func migrating<Old: StreamCodable>(
    from type: Old.Type, version: Int = 1, _ convert: @escaping @Sendable (Old) throws -> S
  ) -> Self {
    var copy = self
    copy.schema = schema.migrating(from: type, version: version, convert)
    return copy
  }
}
