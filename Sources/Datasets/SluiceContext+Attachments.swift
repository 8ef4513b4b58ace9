import Synchronization

/// What floors above hang onto a context, one object of a type: the files that datasets are read from, for one.
///
/// Each call takes a lock; nothing here is asked for per record.
package final class ContextAttachments: Sendable {
  private let objects = Mutex<[ObjectIdentifier: any AnyObject & Sendable]>([:])

  package init() {}

  /// Puts an object in place of one of the same type.
  package func put<T: AnyObject & Sendable>(_ object: T) {
    objects.withLock { $0[ObjectIdentifier(T.self)] = object }
  }

  /// The object of a type; nil where none was put here.
  package func get<T: AnyObject & Sendable>(_ type: T.Type) -> T? {
    objects.withLock { $0[ObjectIdentifier(type)] } as? T
  }
}
