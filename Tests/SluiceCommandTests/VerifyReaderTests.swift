import Codecs
import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

@testable import SluiceCommand

/// What `sluice verify` reads of the files of a job.
@Suite struct VerifyReaderTests {
  private static let store = LinuxFileStore()

  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder =
      "\(ThisProcess.environment("TMPDIR") ?? "/tmp")/sluice-command-\(ThisProcess.pid)-\(LinuxRandomness().next())"
    try Self.store.createDirectories("\(folder)/out/inner")
    defer { try? Self.store.removeTree(folder) }
    try body("\(folder)/out")
  }

  /// Several members or frames, as rolled files have them.
  private func compressed(_ pieces: [String], _ codec: CompressionCodec) throws -> Bytes {
    var writer = ByteWriter()
    for piece in pieces { writer.append(try CodecWorkspace().compress(Bytes(piece), with: codec)) }
    return writer.finish()
  }

  @Test func allFilesBelowAreReadPlainAndCompressed() throws {
    try withFolder { folder in
      try Self.store.replace("\(folder)/a.txt", with: "one\ntwo\tzwei\n")
      try Self.store.replace("\(folder)/.part-3.txt.part", with: "hidden\n")
      try Self.store.createDirectories("\(folder)/_sluice")
      try Self.store.replace("\(folder)/_sluice/manifest-1", with: "not output\n")
      let endings: [(String, CompressionCodec)] = [("gz", .gzip), ("zst", .zstd), ("lz4", .lz4)]
      for (ending, codec) in endings {
        let pieces = ["\(ending) 1\n\(ending) 2\n", "\(ending) 3\n"]
        try Self.store.replace("\(folder)/inner/b.txt.\(ending)", with: try compressed(pieces, codec))
      }
      let lines = try VerifyReader.files(folder, Self.store).map(\.text).sorted()
      let expected = ["\tone", "two\tzwei"] + endings.flatMap { ending in (1...3).map { "\t\(ending.0) \($0)" } }
      #expect(lines == expected.sorted())
      #expect(try VerifyReader.files("\(folder)/nowhere", Self.store).isEmpty)
    }
  }

  @Test func whatCannotBeUnpackedIsAnErrorThatNamesTheFile() throws {
    try withFolder { folder in
      let whole = try compressed([String(repeating: "a line of text\n", count: 99)], .gzip)
      try Self.store.replace("\(folder)/a.txt.gz", with: whole[0..<whole.count / 2])
      let error = #expect(throws: CommandError.self) { try VerifyReader.files(folder, Self.store) }
      #expect(error?.description.hasPrefix("\(folder)/a.txt.gz cannot be unpacked: ") == true)
    }
  }

  /// How many files there are is a matter of moments; each of them has the header.
  @Test func theHeaderOfTablesCountsOnce() throws {
    try withFolder { folder in
      try Self.store.replace("\(folder)/a.csv", with: "n,word\r\n1,x\r\n")
      try Self.store.replace("\(folder)/inner/b.csv.gz", with: try compressed(["n,word\r\n", "2,y\r\n"], .gzip))
      #expect(try VerifyReader.files(folder, Self.store).map(\.value) == ["n,word\r", "1,x\r", "2,y\r"])
      try Self.store.replace("\(folder)/c.csv", with: "3,z\r\n")
      #expect(try VerifyReader.files(folder, Self.store).count == 5, "no header that all of them share")
    }
  }
}
