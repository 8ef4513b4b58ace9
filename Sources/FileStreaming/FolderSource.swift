import Datasets
import Groundwork
import Streaming
import SystemInterfaces

/// A folder as a source: files that are moved into it become the next batch.
///
/// The folder is looked through on a helper loop, twice a batch interval but at most 100 times and at least once a
/// second; a plan names files, with their sizes, so that it can be run again.
///
/// Sendable: its variables are touched on the driver's loop only.
final class FolderSource: StreamSource, @unchecked Sendable {
  let name: String
  let isReplayable = true
  private let folder: String
  private let isWanted: @Sendable (String) -> Bool
  private let newFilesOnly: Bool
  private let window: Duration
  private let scanInterval: Duration
  private let files: any FileStore
  private let driver: any Loop
  private let helper: HelperLoop

  private var memory: FolderMemory
  private var restored: [String]?
  private var planned: [(batch: BatchNumber, files: [InputFile])] = []
  private var environment: SourceEnvironment?
  private var timer: TimerID?
  private var lastComplaint = ""
  private var isLimited = false
  private var isStopped = false

  init(
    _ folder: String, isWanted: @escaping @Sendable (String) -> Bool, newFilesOnly: Bool, window: Duration,
    batchInterval: Duration, files: any FileStore, driver: any Loop, helper: HelperLoop
  ) {
    name = "files \(folder)"
    self.folder = folder
    self.isWanted = isWanted
    self.newFilesOnly = newFilesOnly
    self.window = window
    scanInterval = max(.milliseconds(10), min(batchInterval / 2, .seconds(1)))
    self.files = files
    self.driver = driver
    self.helper = helper
    memory = FolderMemory(window: window, floor: nil)
  }

  func restore(_ last: SourcePlan) { restored = last.details }

  func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    self.environment = environment
    memory = FolderMemory(window: window, floor: newFilesOnly ? driver.wallTime : nil)
    if let restored, memory.adopt(restored) == nil { return ready(.failure(unreadable())) }
    scan { [self] in
      scheduleScan()
      ready(.success(()))
    }
  }

  private func unreadable() -> StreamingError {
    .checkpoint("the checkpoint's plan of \(name) is not understood: it was written by another release, run that one")
  }

  private func scheduleScan() {
    guard !isStopped, !isLimited else { return }
    timer = driver.after(scanInterval) { [self] in scan { [self] in scheduleScan() } }
  }

  private func scan(then: @escaping @Sendable () -> Void) {
    let time = driver.wallTime
    helper.perform(for: driver) { [folder, isWanted, files] in
      try FolderSource.list(folder, isWanted, in: files)
    } then: { [self] result in
      switch result {
      case .success(let listing):
        lastComplaint = ""
        if !isLimited, !isStopped {
          memory.saw(listing, at: time)
          if !memory.waiting.isEmpty { environment?.dataArrived() }
        }
      case .failure(let error):
        // It may be made later, or come back: said once.
        if lastComplaint != "\(error)" { environment?.log("\(name): \(error)") }
        lastComplaint = "\(error)"
      }
      then()
    }
  }

  /// The files that may be taken. A file that vanishes meanwhile is not there.
  private static func list(
    _ pattern: String, _ isWanted: (String) -> Bool, in files: any FileStore
  ) throws -> [InputFile] {
    var found: [InputFile] = []
    for folder in try PathPattern.paths(pattern, in: files) {
      for name in try files.list(folder) where !PathPattern.isHidden(name) && !name.hasSuffix("._COPYING_") {
        let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
        guard isWanted(path), let attributes = try files.attributes(path), !attributes.isDirectory else { continue }
        found.append(InputFile(path: path, size: attributes.size, modified: attributes.modified))
      }
    }
    return found
  }

  func plan(_ batch: BatchIdentity, interval: Duration) -> SourcePlan {
    let files = memory.take()
    planned.append((batch.number, files))
    return plan(of: files, memory.details(files))
  }

  private func plan(of files: [InputFile], _ details: [String]) -> SourcePlan {
    SourcePlan(bytes: files.reduce(0) { $0 + Int($1.size) }, details: details)
  }

  func replay(
    _ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable (Result<SourcePlan, any Error>) -> Void
  ) {
    guard let files = memory.adopt(plan.details) else { return then(.failure(unreadable())) }
    planned.append((batch.number, files))
    then(.success(plan))
  }

  /// The files that the batch took.
  func files(of batch: BatchNumber) -> [InputFile] { planned.first { $0.batch == batch }?.files ?? [] }

  var hasData: Bool { !memory.waiting.isEmpty }
  func commit(_ batch: BatchIdentity, _ plan: SourcePlan, then: @escaping @Sendable ((any Error)?) -> Void) {
    then(nil)
  }
  func forget(through batch: BatchNumber) { planned.removeAll { $0.batch <= batch } }
  func limitToPresent(then: @escaping @Sendable ((any Error)?) -> Void) {
    if let timer { driver.cancel(timer) }
    scan { [self] in
      isLimited = true
      then(nil)
    }
  }
  var isExhausted: Bool { isLimited && memory.waiting.isEmpty }
  /// Nobody knows the records of files that were not read.
  var lag: SourceLag { SourceLag(records: 0) }
  func stop(then: @escaping @Sendable () -> Void) {
    isStopped = true
    if let timer { driver.cancel(timer) }
    then()
  }
}
