/// A function from chunk to chunk: what a narrow transformation does.
///
/// It is made when the transformation is defined, by one of the inlinable functions below, so that the caller's closure is
/// compiled into the inner loop; erasing it here costs two indirect calls a chunk and none a record.
public struct ChunkOperator<Input, Output>: Sendable {
  /// Appends to the output what the lent elements give; the output is empty at first.
  public typealias Body = @Sendable (UnsafeBufferPointer<Input>, inout Chunk<Output>, TaskContext) throws -> Void
  /// The function itself.
  public let body: Body

  /// From a function over whole chunks; make it in an inlinable function, see the type.
  @inlinable public init(_ body: @escaping Body) { self.body = body }

  /// Each element transformed.
  @inlinable public static func map(_ transform: @escaping @Sendable (Input) throws -> Output) -> Self {
    Self { view, output, _ in
      for index in 0..<view.count { output.append(try transform(view[index])) }
    }
  }

  /// The elements of what each element gives, in order.
  @inlinable public static func flatMap<S: Sequence & SendableMetatype>(
    _ transform: @escaping @Sendable (Input) throws -> S
  ) -> Self where S.Element == Output {
    Self { view, output, _ in
      for index in 0..<view.count {
        for element in try transform(view[index]) { output.append(element) }
      }
    }
  }

  /// What each element gives, where it gives something.
  @inlinable public static func compactMap(_ transform: @escaping @Sendable (Input) throws -> Output?) -> Self {
    Self { view, output, _ in
      for index in 0..<view.count {
        if let element = try transform(view[index]) { output.append(element) }
      }
    }
  }
}

extension ChunkOperator where Input == Output {
  /// The elements that satisfy the condition.
  @inlinable public static func filter(_ isIncluded: @escaping @Sendable (Input) throws -> Bool) -> Self {
    Self { view, output, _ in
      for index in 0..<view.count where try isIncluded(view[index]) { output.append(view[index]) }
    }
  }
}
