import Datasets
import Groundwork

/// What one partition of a windowed operator gives in a batch.
@usableFromInline package struct WindowResults<Key: Hashable & Sendable, Value: Sendable, Output: Sendable>: Sendable {
  @usableFromInline var rows: ContiguousArray<(Windowed<Key>, Output)> = []
  @usableFromInline var late: ContiguousArray<(Timestamp, Key, Value)> = []

  @inlinable init() {}

  @inlinable mutating func add(_ key: Key, _ start: Int64, _ end: Int64, _ output: Output) {
    rows.append(
      (
        Windowed(key, start: Timestamp(milliseconds: start), end: Timestamp(milliseconds: end)), detached(output)
      ))
  }
}

extension OpenWindows {
  /// Adds an element to its windows.
  /// - Parameter limit: windows that end at or before this are closed; nil for none.
  /// - Returns: false where all of its windows are closed: it is late.
  @inlinable mutating func take(
    _ time: Int64, _ window: EventTimeWindow, closedBefore limit: Int64?, _ zero: Partial,
    _ add: (Partial) throws -> Partial, _ merge: (Partial, Partial) throws -> Partial
  ) rethrows -> Bool {
    let limit = limit ?? .min
    switch window.kind {
    case .fixed(let length, let slide):
      var isTaken = false
      try EventTimeWindow.starts(time, length: length, slide: slide) { start in
        guard start + length > limit else { return }
        isTaken = true
        try self.add(start: start, end: start + length, zero, add)
      }
      return isTaken
    case .session(let gap):
      let session = session(time, time + gap)
      guard session.end > limit else { return false }
      try self.add(session, zero, add, merge)
      return true
    }
  }
}

extension StateView {
  /// Changes the open windows of a key in place. What became of the state is for `settle` to say.
  @inlinable package func change<Partial: StreamCodable, Result>(
    _ number: Int, _ body: (inout OpenWindows<Partial>) throws -> Result
  ) rethrows -> Result where Value == OpenWindows<Partial> {
    if touched[number].value == nil { touched[number].value = OpenWindows() }
    return try body(&touched[number].value!)
  }

  /// Gives the results of a key's windows that are due, drops those that are closed, and sets the key's timer.
  @inlinable package func settle<Partial: StreamCodable>(
    _ number: Int, _ watermark: Int64?, _ lateness: Int64, _ givesEarly: Bool,
    _ give: (_ start: Int64, _ end: Int64, _ partial: Partial) -> Void
  ) where Value == OpenWindows<Partial> {
    guard var open = touched[number].value else { return }
    touched[number].value = nil
    let watermark = watermark ?? .min
    var kept: [OpenWindows<Partial>.Window] = []
    var deadline = Int64.max
    var hasChanged = false
    for var window in open.windows {
      let isOver = window.end <= watermark
      if isOver ? !window.isGiven || window.isChanged : givesEarly && window.isChanged {
        give(window.start, window.end, window.partial)
      }
      hasChanged = hasChanged || window.isChanged || isOver != window.isGiven
      window.isChanged = false
      window.isGiven = isOver
      if isOver, window.end + lateness <= watermark {
        hasChanged = true
        continue
      }
      deadline = min(deadline, isOver ? window.end + lateness : window.end)
      kept.append(window)
    }
    open.windows = kept
    if hasChanged {
      set(number, kept.isEmpty ? nil : open, deadline: kept.isEmpty ? nil : deadline)
    } else {
      touched[number].value = kept.isEmpty ? nil : open
    }
  }
}

extension StateSchema {
  /// The schema of open windows whose partial results are of this one.
  @usableFromInline package func ofOpenWindows() -> StateSchema<OpenWindows<State>> {
    var schema = StateSchema<OpenWindows<State>>(version: version)
    schema.migrations = migrations.map { old in
      .init(typeName: "OpenWindows<\(old.typeName)>", version: old.version) { reader in
        try OpenWindows<State>.decode(from: &reader, partial: old.read)
      }
    }
    return schema
  }
}

extension KeyedOperator {
  /// Counts what came late, once in each batch.
  @usableFromInline package func countLate<V, O>() where Output == WindowResults<Key, V, O> {
    onResult = { [self] result, task in
      if result.output.late.count > 0 { task.count("late \(name)", Int64(result.output.late.count)) }
    }
  }
}

extension WatermarkKeeper {
  @usableFromInline package func milliseconds(_ frame: BatchFrame) -> Int64? { watermark(frame)?.milliseconds }
}
