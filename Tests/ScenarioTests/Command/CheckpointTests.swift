import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

/// `sluice checkpoint` over what a real job left.
@Suite struct CheckpointTests {
  private func count(_ lines: Bytes, in place: Place) throws {
    let produced = try Program.sluice(["produce", "--topic", "lines"], in: place, input: lines)
    #expect(produced.exit == .code(0), "\(produced.error)")
    let ran = try Program.sluice(
      ["submit", "WordCount", "--checkpoint", "\(place.path)/checkpoint", "--available-now"], in: place)
    #expect(ran.exit == .code(0), "\(ran.error)")
  }

  @Test func showTellsWhereAJobStandsAndDiffWhatChanged() throws {
    let place = try Place()
    let checkpoint = "\(place.path)/checkpoint"
    try count("a b\nb c\n", in: place)
    let shown = try Program.sluice(["checkpoint", "show", checkpoint], in: place)
    #expect(shown.exit == .code(0), "\(shown.error)")
    #expect(shown.output.contains("name             WordCount\n"), "\(shown.output)")
    #expect(shown.output.contains("topics lines, next of lines-0  2\n"), "\(shown.output)")
    #expect(shown.output.contains("2  committed  lines-0[0,2)"), "\(shown.output)")
    let same = try Program.sluice(["checkpoint", "diff", checkpoint, checkpoint], in: place)
    #expect(same.exit == .code(0) && same.output == "", "\(same.output)")

    let before = "\(place.path)/before"
    let files = LinuxFileStore()
    try files.createDirectories("\(before)/commits")
    for name in ["job.text"] + (try files.list("\(checkpoint)/commits")).map({ "commits/\($0)" }) {
      try files.replace("\(before)/\(name)", with: try files.contents(of: "\(checkpoint)/\(name)"))
    }
    try count("c\n", in: place)
    let changed = try Program.sluice(["checkpoint", "diff", before, checkpoint], in: place)
    #expect(changed.exit == .code(1))
    #expect(changed.output.contains("~ source: topics lines, next of lines-0: 2 → 3\n"), "\(changed.output)")
  }

  @Test func aFolderThatIsNoneIsNamed() throws {
    let place = try Place()
    let shown = try Program.sluice(["checkpoint", "show", place.path], in: place)
    #expect(shown.exit == .code(1))
    #expect(
      shown.error
        == "sluice: \(place.path) is not a checkpoint: it holds no job.text; give the folder that the job got with "
        + "--checkpoint\n")
  }
}
