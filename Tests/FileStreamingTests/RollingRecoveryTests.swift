import Datasets
import Groundwork
import SystemInterfaces
import Testing

@testable import FileStreaming

/// What a batch that was never decided has left in open files is gone after a start, whatever is written there next: the
/// run that follows need not have the same batch. Its plan may be lost, or more may have arrived.
@Suite struct RollingRecoveryTests {
  /// How far the batch had come when its process died.
  enum Death: CaseIterable {
    /// Its bytes are written, the manifest does not know of them.
    case written
    /// It is prepared; nobody has decided it.
    case prepared
  }

  private static func long(_ number: Int) -> FolderRig.Line {
    .init(partition: 0, directory: "a", text: "batch \(number), of which there is more than of the one that follows")
  }

  @Test(arguments: Death.allCases, [true, false]) func anotherBatchTakesThePlace(death: Death, isDeciding: Bool) throws
  {
    let rig = FolderRig(seed: 8, isDeciding: isDeciding, rolling: RollingPolicy(size: 1 << 20, age: .seconds(100)))
    try rig.start()
    try rig.run(1, [Self.long(1)])
    let kept = try hiddenSizes(rig)
    if death == .written {
      rig.files.hook = { [unowned rig] _, call, path, _ throws(FileError) in
        if call == .sync || path.contains("/manifest-") { rig.process.kill() }
      }
    }
    _ = try? rig.prepare(2, [Self.long(2), Self.long(2)])
    rig.process.kill()
    let left = try hiddenSizes(rig)
    #expect(left != kept, "the batch has left nothing: \(left)")
    rig.restart()
    try rig.start()
    #expect(try hiddenSizes(rig) == kept)
    try rig.run(2, [.init(partition: 0, directory: "a", text: "2")])
    let open = try rig.report()
    #expect(try hiddenSizes(rig) == Dictionary(uniqueKeysWithValues: open.committed.map { ($0.hiddenPath, $0.length) }))
    rig.sink.end()
    #expect(try rig.visible() == ["a": "\(Self.long(1).text)\n2\n"])
    #expect(try rig.report().verify().problems == [])
  }

  /// The sizes of the files that are open.
  private func hiddenSizes(_ rig: FolderRig) throws -> [String: Int64] {
    let files = rig.reader()
    var sizes: [String: Int64] = [:]
    for name in try files.list("/out/a") where name.hasPrefix(".") {
      sizes["a/\(name)"] = try files.attributes("/out/a/\(name)")?.size
    }
    return sizes
  }
}
