/// A function from chunk to chunk: what a narrow transformation does.
///
/// It is made when the transformation is defined, by one of the inlinable functions below, so that the caller's closure is
/// compiled into the inner loop; erasing it here costs two indirect calls a chunk and none a record.
public struct ChunkOperator<Input, Output>: Sendable {
  /// Appends to the output what the lent elements give; the output is empty at first.
  public typealias Body = @Sendable (UnsafeBufferPointer<Input>, inout Chunk<Output>, TaskContext) throws -> Void
  /// As `Body`, of elements that nobody needs any more: it empties the input.
  @usableFromInline typealias Draining = @Sendable (inout Chunk<Input>, inout Chunk<Output>, TaskContext) throws -> Void

  /// The function itself.
  public let body: Body
  /// The same for a chunk of its own: what moves on is moved, not copied, which spares the references in it.
  @usableFromInline let draining: Draining
  /// Whether that is another one.
  @usableFromInline let drains: Bool

  /// From a function over whole chunks; make it in an inlinable function, see the type.
  @inlinable public init(_ body: @escaping Body) {
    self.body = body
    draining = { _, _, _ in }
    drains = false
  }

  @inlinable init(_ body: @escaping Body, draining: @escaping Draining) {
    self.body = body
    self.draining = draining
    drains = true
  }

  /// Each element transformed.
  @inlinable public static func map(_ transform: @escaping @Sendable (Input) throws -> Output) -> Self {
    Self { view, output, _ in
      try view.lendEach { output.append(try transform($0)) }
    } draining: { input, output, _ in
      try input.drain { output.append(try transform($0)) }
    }
  }

  /// The elements of what each element gives, in order.
  @inlinable public static func flatMap<S: Sequence & SendableMetatype>(
    _ transform: @escaping @Sendable (Input) throws -> S
  ) -> Self where S.Element == Output {
    Self { view, output, _ in
      try view.lendEach { for element in try transform($0) { output.append(element) } }
    }
  }

  /// What each element gives, where it gives something.
  @inlinable public static func compactMap(_ transform: @escaping @Sendable (Input) throws -> Output?) -> Self {
    Self { view, output, _ in
      try view.lendEach { if let element = try transform($0) { output.append(element) } }
    } draining: { input, output, _ in
      try input.drain { if let element = try transform($0) { output.append(element) } }
    }
  }
}

extension ChunkOperator where Input == Output {
  /// The elements that satisfy the condition.
  @inlinable public static func filter(_ isIncluded: @escaping @Sendable (Input) throws -> Bool) -> Self {
    Self { view, output, _ in
      try view.lendEach { if try isIncluded($0) { output.append($0) } }
    } draining: { input, output, _ in
      try input.drain(where: { try isIncluded($0) }) { output.append($0) }
    }
  }
}
