import Datasets

/// Walks over lineage, by an explicit stack: a dataset may stand at the end of 100,000 operators.
enum Lineage {
  /// The shuffles that a stage computing `dataset` reads, each once, in the order of the dependencies. Nothing behind a
  /// dataset that is kept in memory entirely is looked at. O(operators of the stage).
  /// - Parameter steps: raised by the number of datasets and dependencies that were looked at.
  static func shuffles(readBy dataset: AnyRDD, steps: inout Int) -> [ShuffleDependency] {
    var found: [ShuffleDependency] = []
    var current = dataset
    // A chain cannot come by a dataset twice: no set of the visited is needed until the lineage branches.
    while !current.isFullyPersisted, current.dependencies.count == 1 {
      steps += 1
      switch current.dependencies[0] {
      case .narrow(let parent): current = parent
      case .shuffle(let shuffle): return [shuffle]
      }
    }
    if current.isFullyPersisted || current.dependencies.isEmpty { return [] }

    var visited: Set<ObjectIdentifier> = []
    var visitedShuffles: Set<ObjectIdentifier> = []
    var stack: [Dependency] = [.narrow(current)]
    while let dependency = stack.popLast() {
      steps += 1
      switch dependency {
      case .shuffle(let shuffle):
        if visitedShuffles.insert(ObjectIdentifier(shuffle)).inserted { found.append(shuffle) }
      case .narrow(let dataset):
        if visited.insert(ObjectIdentifier(dataset)).inserted, !dataset.isFullyPersisted {
          stack.append(contentsOf: dataset.dependencies.reversed())
        }
      }
    }
    return found
  }
}
