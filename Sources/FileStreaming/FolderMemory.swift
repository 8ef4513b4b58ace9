import Groundwork

/// Which files of a folder have been taken, and which are to come: scans in, files for the next batch out. Pure.
///
/// A file is taken once, by its name, when its time of modification has passed and is no more than the remember window
/// before the last scan: so a file that shows late is still found, and what was taken has to be remembered for no longer
/// than that. The form and the window are Spark's (FileInputDStream); the window counts from the last scan and not from
/// the present, so that nothing is overlooked when batches are late or the job was down.
struct FolderMemory: Sendable, Equatable {
  private let window: Duration
  /// When the last scan began.
  private var scanned: Timestamp?
  /// Files modified then or before are never taken.
  private var floor: Timestamp
  /// By path, the modification times of files that were taken and that a scan could find again.
  private(set) var taken: [String: Timestamp] = [:]
  /// Found and not taken, in the order of modification.
  private(set) var waiting: [InputFile] = []

  /// - Parameters:
  ///   - window: how late a file may show.
  ///   - floor: files modified then or before are never taken; nil takes all that are there.
  init(window: Duration, floor: Timestamp?) {
    self.window = window
    self.floor = floor ?? FolderMemory.never
  }

  private static var never: Timestamp { Timestamp(milliseconds: 0) }

  /// Takes in what a scan has found.
  /// - Parameters:
  ///   - listing: the folder's files.
  ///   - time: the wall clock before the scan began.
  mutating func saw(_ listing: [InputFile], at time: Timestamp) {
    let horizon = scanned.map { max(floor, $0 - window) } ?? floor
    let known = Set(waiting.map(\.path))
    // Written over, a file that was taken is remembered for as long as a scan could take it for a new one.
    for file in listing where taken[file.path] != nil { taken[file.path] = file.modified }
    waiting = listing.filter { file in
      guard taken[file.path] == nil else { return false }
      // A file that waits is not forgotten because batches are late.
      return known.contains(file.path) || (file.modified > horizon && file.modified <= time)
    }.sorted { ($0.modified, $0.path) < ($1.modified, $1.path) }
    scanned = max(scanned ?? time, time)
    let old = scanned! - window
    taken = taken.filter { $0.value > old }
  }

  /// Takes all that waits.
  mutating func take() -> [InputFile] {
    let files = waiting
    waiting = []
    for file in files { taken[file.path] = file.modified }
    return files
  }

  /// What a restart needs to go on from here, and the files of a batch, as lines of a plan.
  func details(_ files: [InputFile]) -> [String] {
    var lines = ["floor \(floor.milliseconds)"]
    if let scanned { lines.append("scanned \(scanned.milliseconds)") }
    let present = Set(files.map(\.path))
    for path in taken.keys.sorted() where !present.contains(path) {
      lines.append("before \(InputFile(path: path, size: 0, modified: taken[path]!).text)")
    }
    for file in files { lines.append("file \(file.text)") }
    return lines
  }

  /// Goes on where a plan's lines left off.
  /// - Returns: the files of that batch; nil where a line is no such line.
  mutating func adopt(_ details: [String]) -> [InputFile]? {
    var files: [InputFile] = []
    for line in details {
      guard let space = line.firstIndex(of: " ") else { return nil }
      let rest = String(line[line.index(after: space)...])
      switch line[..<space] {
      case "floor":
        guard let time = Int64(rest) else { return nil }
        floor = Timestamp(milliseconds: time)
      case "scanned":
        guard let time = Int64(rest) else { return nil }
        scanned = Timestamp(milliseconds: time)
      case "before":
        guard let file = InputFile(text: rest) else { return nil }
        taken[file.path] = file.modified
      case "file":
        guard let file = InputFile(text: rest) else { return nil }
        taken[file.path] = file.modified
        files.append(file)
      default: return nil
      }
    }
    waiting.removeAll { taken[$0.path] != nil }
    return files
  }
}

extension Timestamp {
  fileprivate static func - (a: Timestamp, d: Duration) -> Timestamp {
    Timestamp(milliseconds: a.milliseconds - d.inMilliseconds)
  }
}
