extension AnyRDD {
  /// The lineage as Spark prints it: one dataset a line, what it is made of below it; at a shuffle a column of its own
  /// begins, with the number of partitions on its left.
  ///
  /// A dataset that was shown before is named and its ancestors are not repeated, so the text grows with the lineage and
  /// not with the number of ways through it. Columns are not moved to the right any more behind the 32nd shuffle.
  public func toDebugString() -> String {
    var lines: [String] = []
    var seen: Set<ObjectIdentifier> = []
    let head = "(\(partitionCount))"
    var pending = [Line(dataset: self, kind: .first, prefix: AnyRDD.column(head), depth: 0)]
    while let line = pending.popLast() {
      let dataset = line.dataset
      let isNew = seen.insert(ObjectIdentifier(dataset)).inserted
      let text = dataset.label + dataset.keptText + (isNew ? "" : " [shown above]")
      var below = line.prefix
      var depth = line.depth
      switch line.kind {
      case .first: lines.append("\(head) \(text)")
      case .narrow: lines.append(line.prefix + text)
      case .shuffle(let isLast):
        // The parent's bar ends where its last child begins.
        let left = line.prefix.trimmingBar
        let count = "(\(dataset.partitionCount))"
        lines.append("\(left)+-\(count) \(text)")
        below = depth < 32 ? left + (isLast ? "  " : "| ") + AnyRDD.column(count) : line.prefix
        depth += 1
      }
      guard isNew else { continue }
      for (index, dependency) in dataset.dependencies.enumerated().reversed() {
        let isLast = index == dataset.dependencies.count - 1
        switch dependency {
        case .narrow(let parent): pending.append(Line(dataset: parent, kind: .narrow, prefix: below, depth: depth))
        case .shuffle(let shuffle):
          pending.append(Line(dataset: shuffle.parent, kind: .shuffle(isLast: isLast), prefix: below, depth: depth))
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

  private struct Line {
    enum Kind {
      case first
      case narrow
      case shuffle(isLast: Bool)
    }
    let dataset: AnyRDD
    let kind: Kind
    /// What stands on the left of the ancestors' lines.
    let prefix: String
    /// Shuffles between it and the first.
    let depth: Int
  }

  /// A bar below the middle of a number of partitions.
  private static func column(_ head: String) -> String {
    let left = (head.count - 1) / 2
    return String(repeating: " ", count: left) + "|" + String(repeating: " ", count: head.count - left)
  }
}

extension String {
  /// Without the last bar and the spaces behind it.
  fileprivate var trimmingBar: String {
    var rest = self[...]
    while rest.last == " " { rest.removeLast() }
    if rest.last == "|" { rest.removeLast() }
    return String(rest)
  }
}
