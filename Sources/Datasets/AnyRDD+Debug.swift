extension AnyRDD {
  /// The lineage as indented text, one dataset a line with its number of partitions, as Spark prints it: a deeper column
  /// begins behind each shuffle. A dataset that was shown before is named, its ancestors are not repeated.
  public func toDebugString() -> String {
    var lines: [String] = []
    var seen: Set<ObjectIdentifier> = []
    var pending: [(dataset: AnyRDD, depth: Int, isBehindShuffle: Bool)] = [(self, 0, false)]
    while let (dataset, depth, isBehindShuffle) = pending.popLast() {
      let isNew = seen.insert(ObjectIdentifier(dataset)).inserted
      let mark = isBehindShuffle ? "+-" : ""
      let kept = dataset.keptText
      lines.append(
        String(repeating: "  ", count: depth) + "\(mark)(\(dataset.partitionCount)) \(dataset.label)\(kept)"
          + (isNew ? "" : " [shown above]"))
      guard isNew else { continue }
      for dependency in dataset.dependencies.reversed() {
        switch dependency {
        case .narrow(let parent): pending.append((parent, depth, false))
        case .shuffle(let shuffle): pending.append((shuffle.parent, depth + 1, true))
        }
      }
    }
    return lines.joined(separator: "\n")
  }

  /// How the dataset is kept, in brackets; empty where it is not.
  private var keptText: String {
    let kept = persistence.kept
    var words: [String] = []
    if let checkpoint = kept.checkpoint {
      words.append(persistence.isCut ? "checkpoint \(checkpoint.folder)" : "to be checkpointed in \(checkpoint.folder)")
    }
    if let persisted = kept.persisted {
      words.append(persisted.isPinned && persistence.isCut ? "local checkpoint" : persisted.level.description)
    }
    return words.isEmpty ? "" : " [\(words.joined(separator: ", "))]"
  }
}
