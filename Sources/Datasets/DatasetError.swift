import Groundwork

/// What is wrong with an operator's arguments or with what its functions gave.
///
/// Operators do not throw where they are defined: a dataset that cannot be computed says so when an action computes it.
public struct DatasetError: DiagnosableError, Equatable {
  /// What is wrong.
  public enum Code: Sendable, Equatable {
    /// A partitioner gave a partition that does not exist.
    case partitionOutOfRange(Int, count: Int)
    /// Datasets that are zipped have different numbers of partitions.
    case unequalPartitionCounts([Int])
    /// Datasets that are zipped have different numbers of elements in a partition.
    case unequalElementCounts(partition: Int, Int, Int)
    /// An argument is outside of what the operator can do; the text says what is wanted.
    case badArgument(String)
    /// An external command ended with a status other than 0, or could not be run at all.
    case commandFailed(String)
  }
  /// What is wrong.
  public var code: Code
  /// The operator, as its label shows it.
  public var operation: String

  /// - Parameters:
  ///   - code: what is wrong.
  ///   - operation: the operator.
  public init(_ code: Code, operation: String) {
    self.code = code
    self.operation = operation
  }

  /// The job's author.
  public var fault: Fault { .user }
  /// The same arguments fail again.
  public var isRetriable: Bool { false }
  /// Other operators of the dataset work.
  public var leavesUsable: Bool { true }

  /// The text for the job's author.
  public var description: String {
    switch code {
    case .partitionOutOfRange(let partition, let count):
      "\(operation): the partitioner gave partition \(partition), but there are \(count), numbered from 0; "
        + "let its function give a number in 0 ..< \(count) for every key"
    case .unequalPartitionCounts(let counts):
      "\(operation): the datasets have \(counts.map { "\($0)" }.joined(separator: " and ")) partitions; "
        + "bring them to the same number by repartition or coalesce"
    case .unequalElementCounts(let partition, let here, let there):
      "\(operation): partition \(partition) has \(here) elements here and \(there) there; "
        + "zip what has as many in each partition, or join by zipWithIndex"
    case .badArgument(let wanted): "\(operation): \(wanted)"
    case .commandFailed(let what): "\(operation): \(what)"
    }
  }
}

extension RDD {
  /// A dataset that cannot be computed and says why when it is asked to.
  @usableFromInline static func failing(_ context: SluiceContext, _ error: DatasetError) -> RDD {
    RDD(context, label: error.operation, partitionCount: 1, dependencies: []) { _, _, _ in throw error }
  }
}
