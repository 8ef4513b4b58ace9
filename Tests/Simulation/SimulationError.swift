/// A world that did not come to where the test wanted it: with the seed, what is pending and what happened last.
public struct SimulationError: Error, CustomStringConvertible, Sendable {
  /// How the world came to its end.
  public enum Kind: Sendable, Equatable {
    /// No event is left.
    case ranDry
    /// The virtual time allowed has passed.
    case outOfTime
    /// More steps than allowed: something goes round in circles without letting time pass.
    case outOfSteps
  }
  /// How it came to its end.
  public var kind: Kind
  /// The world's seed: the same program under it fails the same way again.
  public var seed: UInt64
  /// The whole story, for the test's output.
  public var description: String
}
