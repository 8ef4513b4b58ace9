import Groundwork

/// How the values of an operator's state are written, and how those that older code has written are read.
///
/// A restart compares type names and the version with what is stored. Where a field is added at the end of a struct,
/// nothing is needed but a `decode` that reads the field only where `reader.remaining > 0` and else takes a default: each
/// value is read from bytes of its own. For anything else the version is raised, and the old type migrated:
///
///     StateSchema<Visits>(version: 2).migrating(from: Int.self) { count in Visits(count: count, last: "") }
public struct StateSchema<State: StreamCodable>: Sendable {
  /// Raised by the job's author when the encoding of the type changes.
  public private(set) var version: Int
  @usableFromInline var migrations: [Migration] = []

  @usableFromInline struct Migration: Sendable {
    @usableFromInline var typeName: String
    @usableFromInline var version: Int
    @usableFromInline var read: @Sendable (inout StreamReader) throws -> State

    @usableFromInline init(
      typeName: String, version: Int, read: @escaping @Sendable (inout StreamReader) throws -> State
    ) {
      self.typeName = typeName
      self.version = version
      self.read = read
    }
  }

  /// - Parameter version: 1 for the first.
  public init(version: Int = 1) { self.version = version }

  /// Values that older code wrote as another type, or as an older version of this one, are read and converted at the
  /// first start; what is written from then on is of this schema.
  /// - Parameters:
  ///   - type: what they were written as: a copy of the old type, under its old name.
  ///   - version: the version they were written under.
  ///   - convert: called once a value.
  public func migrating<Old: StreamCodable>(
    from type: Old.Type, version: Int = 1, _ convert: @escaping @Sendable (Old) throws -> State
  ) -> Self {
    var copy = self
    copy.migrations.append(
      Migration(typeName: stateTypeName(type), version: version) { reader in try convert(Old.decode(from: &reader)) })
    return copy
  }

  func with(version: Int) -> Self {
    var copy = self
    copy.version = version
    return copy
  }

  func migration(from typeName: String, version: Int) -> (@Sendable (inout StreamReader) throws -> State)? {
    migrations.first { $0.typeName == typeName && $0.version == version }?.read
  }
}

/// A type's name as the catalog keeps it: without its module, so that code may move.
func stateTypeName<T>(_ type: T.Type) -> String { "\(type)" }
