/// A value that may point into memory that it shares with others, and can be given memory of its own.
///
/// `Bytes` of more than 15 bytes are a slice of the arena that their batch was decompressed into: kept for an hour, a slice
/// keeps all of it. So what the engine keeps beyond a batch (state, panes of windows, datasets that are persisted) is
/// detached first. It finds `Bytes` by itself in pairs, optionals and arrays; a struct of `Bytes` says how:
///
///     struct Visit: StreamCodable, Detachable {
///       var page: Bytes
///       mutating func detach() { page.detach() }
///     }
public protocol Detachable {
  /// Moves the value into memory of its own. It stays equal to what it was.
  mutating func detach()
}

extension Bytes: Detachable {
  /// Copies more than 15 bytes into memory of their own; fewer are in the value itself.
  @inlinable public mutating func detach() { self = copied }
}

extension Optional: Detachable where Wrapped: Detachable {
  /// Detaches the value that is there.
  @inlinable public mutating func detach() { self?.detach() }
}

extension Array: Detachable where Element: Detachable {
  /// Detaches each element. O(n).
  @inlinable public mutating func detach() { for index in indices { self[index].detach() } }
}
