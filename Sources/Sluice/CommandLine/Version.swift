/// The version of this build, by the rules of Semantic Versioning 2.0.0.
public enum SluiceVersion {
  /// `MAJOR.MINOR.PATCH`, as `sluice version` prints it.
  public static let text = "0.1.0"
}
