/// Properties that jobs take along from where they are submitted: what Spark calls local properties. A value: a job keeps
/// those that were set when it was submitted.
public struct LocalProperties: Sendable, Equatable {
  /// The pool that the next jobs run in, with FAIR scheduling; Spark's `spark.scheduler.pool`.
  public static let poolKey = "sluice.scheduler.pool"
  /// The group that the next jobs belong to; Spark's `spark.jobGroup.id`.
  public static let jobGroupKey = "sluice.jobGroup.id"
  /// What the next jobs are for, for people; Spark's `spark.job.description`.
  public static let jobDescriptionKey = "sluice.job.description"

  /// Every property that is set, by key.
  public private(set) var values: [String: String] = [:]

  /// No properties.
  public init() {}

  /// The property's value; nil where it is not set, and to remove it.
  public subscript(key: String) -> String? {
    get { values[key] }
    set { values[key] = newValue }
  }

  /// The pool that jobs run in; the default pool where nil.
  public var pool: String? { values[LocalProperties.poolKey] }
  /// The group that jobs belong to; none where nil.
  public var jobGroup: String? { values[LocalProperties.jobGroupKey] }
  /// What jobs are for, for people.
  public var jobDescription: String? { values[LocalProperties.jobDescriptionKey] }
}

extension JobRunner {
  /// A runner that knows no properties keeps none.
  public var localProperties: LocalProperties {
    get { LocalProperties() }
    nonmutating set {}
  }
}

extension SluiceContext {
  /// Properties for the jobs that are submitted from now on. They are the context's, as there is one driver; what an
  /// output operation such as `foreachRDD` sets holds until its end and for its own jobs.
  public var localProperties: LocalProperties {
    get { runner.localProperties }
    set { runner.localProperties = newValue }
  }

  /// Sets a property for the jobs that are submitted from now on.
  /// - Parameters:
  ///   - key: `sluice.scheduler.pool` chooses the pool; other keys are handed on to listeners.
  ///   - value: nil removes the property.
  public func setLocalProperty(_ key: String, _ value: String?) { runner.localProperties[key] = value }

  /// A property that was set for the jobs that are submitted from now on; nil where it is not set.
  public func localProperty(_ key: String) -> String? { runner.localProperties[key] }

  /// Puts the jobs that are submitted from now on into a group, by which they can be cancelled together.
  /// - Parameters:
  ///   - group: the group's name.
  ///   - description: what the jobs are for, for people.
  public func setJobGroup(_ group: String, description: String? = nil) {
    var properties = runner.localProperties
    properties[LocalProperties.jobGroupKey] = group
    properties[LocalProperties.jobDescriptionKey] = description
    runner.localProperties = properties
  }

  /// The jobs that are submitted from now on belong to no group and have no description.
  public func clearJobGroup() {
    var properties = runner.localProperties
    properties[LocalProperties.jobGroupKey] = nil
    properties[LocalProperties.jobDescriptionKey] = nil
    runner.localProperties = properties
  }

  /// Says what the jobs that are submitted from now on are for, for people; nil says nothing.
  public func setJobDescription(_ description: String?) {
    runner.localProperties[LocalProperties.jobDescriptionKey] = description
  }
}
