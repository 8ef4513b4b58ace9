import Groundwork

/// What a start makes of the stored operators and those of the job: a pure function of both.
struct StateMatching: Sendable {
  /// The catalog from now on.
  var catalog: StateCatalog
  /// For each operator of the job its entry, in the same order.
  var current: [StateCatalog.Entry] = []
  /// By the number that stands in blocks: which operator of the job reads them, and under which entry.
  var readers: [Int: (index: Int, entry: StateCatalog.Entry)] = [:]
  /// For the job's log.
  var remarks: [String] = []
}

/// What an operator of the job says of itself.
struct StateDeclaration: Sendable {
  var name: String
  var aliases: [String] = []
  var lineage: String?
  var keyType: String
  var stateType: String
  var version: Int
  var wantedPartitions: Int?
  /// How its entries are made, where types alone do not say it.
  var shape: StateShape?
  /// Where its state goes with that of another operator of the job, and can be made anew from it: which, an earlier one.
  var leader: Int?
  var canRead: @Sendable (_ stateType: String, _ version: Int) -> Bool = { _, _ in false }
}

extension StateCatalog {
  /// Finds each operator's state.
  /// - Parameters:
  ///   - dropped: names whose state is given up.
  ///   - parallelism: state partitions of an operator that is new and names no number.
  func matched(
    _ declared: [StateDeclaration], dropping dropped: [String], parallelism: Int
  ) throws(StreamingError) -> StateMatching {
    var matching = StateMatching(catalog: self)
    // Every key is placed by its hash when it is read, so another hash than before needs nothing else.
    matching.catalog.hashVersion = Hash64.version
    let setting = "sluice.streaming.state.drop"
    for name in dropped {
      guard entries.contains(where: { $0.name == name }) else {
        matching.remarks.append("\(setting) names '\(name)', of which nothing is stored")
        continue
      }
      matching.catalog.entries.removeAll { $0.name == name }
      matching.remarks.append("the state of '\(name)' is dropped, as \(setting) says")
    }
    var claimed: Set<String> = []
    for (index, operation) in declared.enumerated() {
      guard !operation.name.contains(where: { $0 == "\t" || $0.isNewline }) else {
        throw .invalidDefinition("the name '\(operation.name)' has a tab or a line break in it: choose another")
      }
      let names = [operation.name] + operation.aliases
      let found = names.lazy.compactMap { matching.catalog.current($0) }.first { !claimed.contains($0.name) }
      let leader = operation.leader.map { matching.current[$0] }
      let partitions = leader?.partitions ?? operation.wantedPartitions
      if let found, try !operation.isRemade(from: found, leaderIsNew: leader.map { $0.id >= nextID } ?? false) {
        claimed.insert(found.name)
        try operation.check(found)
        matching.take(operation, index, found, partitions: partitions ?? found.partitions)
      } else {
        if let found { matching.catalog.entries.removeAll { $0.name == found.name } }
        matching.add(operation, index, partitions: partitions ?? parallelism)
        claimed.insert(operation.name)
      }
    }
    // Windows that are not made from the one before any more: their panes say all.
    let read = matching.readers
    matching.catalog.entries.removeAll { entry in
      read[entry.id] == nil && entry.isCurrent && entry.shape?.hasPrefix(Self.runningPrefix) == true
    }
    for entry in matching.catalog.entries
    where !matching.readers.keys.contains(entry.id) && entry.isCurrent {
      throw .checkpoint(
        "the checkpoint holds the state of '\(entry.name)' (\(entry.keyType) to \(entry.stateType)), and the job has no "
          + "operator of that name. Where it was renamed, write .named(\"…\", aliases: [\"\(entry.name)\"]); where it is "
          + "gone for good, start once with \(setting)=\(entry.name)")
    }
    for entry in matching.catalog.entries where !entry.isCurrent {
      // Whose operator was dropped or is gone: then nobody reads its blocks.
      guard let index = matching.current.firstIndex(where: { $0.name == entry.name }) else { continue }
      try declared[index].check(entry)
      matching.readers[entry.id] = (index, entry)
    }
    return matching
  }
}

extension StateMatching {
  fileprivate mutating func add(_ operation: StateDeclaration, _ index: Int, partitions: Int) {
    let entry = StateCatalog.Entry(
      id: catalog.nextID, name: operation.name, lineage: operation.lineage, shape: operation.shape?.text,
      partitions: partitions, keyType: operation.keyType, stateType: operation.stateType, version: operation.version,
      isCurrent: true)
    catalog.nextID += 1
    catalog.entries.append(entry)
    current.append(entry)
    readers[entry.id] = (index, entry)
  }

  fileprivate mutating func take(
    _ operation: StateDeclaration, _ index: Int, _ found: StateCatalog.Entry, partitions: Int
  ) {
    if found.name != operation.name {
      remarks.append("the state of '\(found.name)' is now that of '\(operation.name)'")
    }
    if case .taken(let remark) = operation.fit(found) { remarks.append("the state of '\(operation.name)': \(remark)") }
    if partitions != found.partitions {
      remarks.append("the state of '\(operation.name)' moves from \(found.partitions) to \(partitions) partitions")
    }
    let isSame = found.stateType == operation.stateType && found.version == operation.version
    for place in catalog.entries.indices where catalog.entries[place].name == found.name {
      catalog.entries[place].name = operation.name
      guard catalog.entries[place].id == found.id else { continue }
      catalog.entries[place].lineage = operation.lineage
      catalog.entries[place].shape = operation.shape?.text
      catalog.entries[place].isCurrent = isSame
      catalog.entries[place].partitions = partitions
      if isSame {
        current.append(catalog.entries[place])
        readers[found.id] = (index, catalog.entries[place])
      }
    }
    guard !isSame else { return }
    remarks.append(
      "the state of '\(operation.name)' is migrated from \(found.stateType), version \(found.version), to "
        + "\(operation.stateType), version \(operation.version)")
    add(operation, index, partitions: partitions)
  }
}

extension StateDeclaration {
  /// What becomes of state of another shape; nil where the shape is the same, or neither has one.
  fileprivate func fit(_ entry: StateCatalog.Entry) -> StateFit? {
    guard let shape, let stored = entry.shape, stored != shape.text else { return nil }
    return shape.fit(stored)
  }

  /// Whether what is stored is passed over, because it is made anew.
  fileprivate func isRemade(
    from entry: StateCatalog.Entry, leaderIsNew: Bool
  ) throws(StreamingError) -> Bool {
    switch fit(entry) {
    case .remade: return true
    case .refused(let reason):
      throw .checkpoint(
        "the state of '\(name)' does not fit: \(reason). Or give the operator another name, and drop the old state by "
          + "starting once with sluice.streaming.state.drop=\(entry.name)")
    case .taken, nil: return leaderIsNew
    }
  }

  /// Whether what is stored can be this operator's.
  fileprivate func check(_ entry: StateCatalog.Entry) throws(StreamingError) {
    let drop = "or drop it by starting once with sluice.streaming.state.drop=\(entry.name)"
    if entry.keyType != keyType {
      throw .checkpoint(
        "the state of '\(name)' is stored by keys of \(entry.keyType), the job has \(keyType): keys cannot be migrated. "
          + "Give the operator another name, \(drop)")
    }
    if let lineage, let stored = entry.lineage, lineage != stored {
      throw .checkpoint(
        "the state of '\(entry.name)' stands under a derived name, and what leads to that operator has changed: it was "
          + "\(stored), it is \(lineage). If it is the same operator, write .named(\"…\", aliases: [\"\(entry.name)\"]); "
          + "if not, name the right one so, \(drop)")
    }
    let isSame = entry.stateType == stateType && entry.version == version
    // Of open windows the job's author knows the partial results.
    let inner = "OpenWindows<"
    var old = entry.stateType
    if old.hasPrefix(inner) { old = String(old.dropFirst(inner.count).dropLast()) }
    guard isSame || canRead(entry.stateType, entry.version) else {
      throw .checkpoint(
        "the state of '\(name)' is stored as \(entry.stateType), version \(entry.version), the job has \(stateType), "
          + "version \(version). Migrate it with .migrating(from: \(old).self, version: \(entry.version)) "
          + "{ … } on its StateSpec or StateSchema, \(drop)")
    }
  }
}
