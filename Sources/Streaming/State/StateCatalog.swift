import Groundwork
import Journals
import SystemInterfaces

/// Which operators have state in a folder, and what their keys and values are: text, for people as well.
struct StateCatalog: Sendable, Equatable {
  /// An operator under one schema. Where the schema changes the operator gets a new entry with a new number, and blocks
  /// that were written before are read by the old one until no snapshot or log holds them any more.
  struct Entry: Sendable, Equatable {
    /// Stands in the blocks; never used twice.
    var id: Int
    /// What `named` gave, or derived.
    var name: String
    /// For a derived name, the operators that lead to it: where they differ, it is taken to be another operator.
    var lineage: String?
    /// How entries are made, where types alone do not say it: see `StateShape`.
    var shape: String?
    /// State partitions.
    var partitions: Int
    var keyType: String
    var stateType: String
    var version: Int
    /// Whether blocks are written under it; else they are only read.
    var isCurrent: Bool
  }

  var nextID = 1
  /// The hash that placed keys.
  var hashVersion = Hash64.version
  var entries: [Entry] = []

  static let fileName = "catalog.journal"
  static let formatVersion: UInt16 = 1

  func current(_ name: String) -> Entry? { entries.first { $0.isCurrent && $0.name == name } }

  /// One line for the whole, and one for each entry; fields are `name=value`, apart by tabs.
  var text: String {
    var lines = ["state\thash=\(hashVersion)\tnext=\(nextID)"]
    for entry in entries {
      var fields = ["operator", "id=\(entry.id)", "name=\(entry.name)", "partitions=\(entry.partitions)"]
      fields += ["key=\(entry.keyType)", "state=\(entry.stateType)", "version=\(entry.version)"]
      fields.append("current=\(entry.isCurrent)")
      if let lineage = entry.lineage { fields.append("lineage=\(lineage)") }
      if let shape = entry.shape { fields.append("shape=\(shape)") }
      lines.append(fields.joined(separator: "\t"))
    }
    return lines.joined(separator: "\n")
  }

  init() {}

  /// Reads `text`; nil where it is anything else.
  init?(text: String) {
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: "\t")
      var values: [Substring: Substring] = [:]
      for field in fields.dropFirst() {
        guard let equals = field.firstIndex(of: "=") else { return nil }
        values[field[..<equals]] = field[field.index(after: equals)...]
      }
      switch fields.first {
      case "state":
        guard let hash = values["hash"].flatMap({ Int($0) }), let next = values["next"].flatMap({ Int($0) }) else {
          return nil
        }
        hashVersion = hash
        nextID = next
      case "operator":
        guard let id = values["id"].flatMap({ Int($0) }), let name = values["name"], let key = values["key"],
          let partitions = values["partitions"].flatMap({ Int($0) }), partitions > 0, let state = values["state"],
          let version = values["version"].flatMap({ Int($0) }), let current = values["current"]
        else { return nil }
        entries.append(
          Entry(
            id: id, name: String(name), lineage: values["lineage"].map(String.init),
            shape: values["shape"].map(String.init), partitions: partitions, keyType: String(key),
            stateType: String(state), version: version, isCurrent: current == "true"))
      default: return nil
      }
    }
  }

  /// The catalog of a folder; nil where there is none.
  static func read(_ folder: String, _ files: any FileStore) throws(StreamingError) -> StateCatalog? {
    let path = "\(folder)/\(fileName)"
    do {
      guard try files.attributes(path) != nil else { return nil }
      guard let entry = try Journal.first(of: path, in: files) else {
        throw StreamingError.checkpoint("\(path) is damaged: put back a copy of the checkpoint folder")
      }
      guard entry.version == formatVersion else {
        throw StreamingError.checkpoint("\(path) has version \(entry.version): run the release that wrote it, or later")
      }
      guard let catalog = StateCatalog(text: String(entry.payload)) else {
        throw StreamingError.checkpoint("\(path) is not understood: put back a copy of the checkpoint folder")
      }
      return catalog
    } catch let error as StreamingError {
      throw error
    } catch {
      throw StateStore.failure("the state in \(folder) cannot be read", error)
    }
  }

  /// Replaces the folder's catalog, past a power loss.
  func write(_ folder: String, _ files: any FileStore) throws(StreamingError) {
    do {
      try files.createDirectories(folder)
      let entry = JournalEntry(version: Self.formatVersion, payload: Bytes(text))
      try files.replace("\(folder)/\(Self.fileName)", with: Journal.encoded(entry))
      try files.syncDirectory(folder)
    } catch {
      throw StateStore.failure("the state's catalog in \(folder) cannot be written", error)
    }
  }
}
