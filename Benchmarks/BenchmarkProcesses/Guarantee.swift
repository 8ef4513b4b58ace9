/// What a measured job promises, and what it waits for therefore.
public enum Guarantee: String, Sendable, CaseIterable {
  /// A batch cut short by a crash is repeated.
  case atLeastOnce = "at-least-once"
  /// From end to end.
  case exactlyOnce = "exactly-once"

  /// When the plan of a batch is synced: with at-least-once nothing is, and where every output belongs to the decider
  /// nobody else can have seen an undecided batch; state of the job's own is such an output.
  public func planSync(hasState: Bool) -> String { self == .exactlyOnce && hasState ? "each batch" : "none" }

  /// What is synced to disk for each batch, the broker aside.
  public func fileSync(writesFiles: Bool, hasState: Bool) -> String {
    guard self == .exactlyOnce else { return "none" }
    return writesFiles ? "files and manifest, each batch" : hasState ? "state, each batch" : "none"
  }
}
