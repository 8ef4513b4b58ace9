import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

/// The package's own sources, held against the rules of the house.
struct HouseTests {
  /// The folder of Package.swift, found from this file's place.
  private static let root: String = {
    var parts = #filePath.split(separator: "/").dropLast(3)
    let files = LinuxFileStore()
    while !parts.isEmpty {
      let folder = "/" + parts.joined(separator: "/")
      if (try? files.attributes(folder + "/Package.swift")) ?? nil != nil { return folder }
      parts = parts.dropLast()
    }
    return "/"
  }()

  private static func swiftFiles() throws -> [SourceFile] {
    let files = LinuxFileStore()
    var found: [SourceFile] = []
    func collect(_ folder: String) throws {
      for name in try files.list(root + "/" + folder) where !name.hasPrefix(".") {
        let path = folder + "/" + name
        if try files.attributes(root + "/" + path)?.isDirectory == true {
          try collect(path)
        } else if name.hasSuffix(".swift") {
          found.append(SourceFile(path: path, text: String(try files.contents(of: root + "/" + path))))
        }
      }
    }
    for top in ["Sources", "Tests", "jobs", "Benchmarks"] { try collect(top) }
    return found
  }

  private static func manifest() throws -> String {
    String(try LinuxFileStore().contents(of: root + "/Package.swift"))
  }

  @Test func everySourceKeepsTheRules() throws {
    let files = try Self.swiftFiles()
    #expect(files.count > 50)
    let findings = files.flatMap { file in HouseRules.all.flatMap { $0(file) } }
    #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
  }

  @Test func theManifestKeepsTheTable() throws {
    let text = try Self.manifest()
    let findings = HouseRules.manifest(text)
    #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
    // That the text was understood: every library of the table with Swift in it stands in the manifest.
    let names = Set(HouseRules.targets(ofManifest: text).map(\.name))
    let missing = ImportTable.rows.keys.filter { !names.contains($0) && !ImportTable.systemLibraries.contains($0) }
    #expect(missing.isEmpty, "the manifest has no \(missing.sorted())")
    #expect(
      HouseRules.targets(ofManifest: text).first { $0.name == "LogBroker" }?.dependencies.contains("LogStorage") == true
    )
  }

  /// The table itself: what the design forbids cannot be allowed by a slip in a row.
  @Test func theTableIsTheDesign() {
    for (a, b) in ImportTable.strangers {
      #expect(ImportTable.rows[a]?.contains(b) == false && ImportTable.rows[b]?.contains(a) == false)
    }
    // Programs, and what they are made of.
    let roof: Set<String> = ["Sluice", "SluiceCommand", "AbortedTransactions", "BenchmarkProcesses", "StreamRuns"]
    for (target, row) in ImportTable.rows where !roof.contains(target) {
      #expect(!row.contains("LinuxSystem"), "\(target) is below the roof")
      #expect(!row.contains("Sluice"), "\(target) is below the roof")
    }
    for target in ["Streaming", "JobScheduling", "Datasets", "FileStreaming", "Journals"] {
      #expect(ImportTable.rows[target]!.allSatisfy { !$0.contains("Kafka") }, "\(target) knows nothing of Kafka")
    }
    // No circles: each row names only targets whose rows can be worked out before.
    var known: Set<String> = []
    while let next = ImportTable.rows.keys.sorted().first(where: { name in
      !known.contains(name) && ImportTable.rows[name]!.isSubset(of: known)
    }) {
      known.insert(next)
    }
    #expect(
      known.count == ImportTable.rows.count, "circle among \(Set(ImportTable.rows.keys).subtracting(known).sorted())")
  }

  /// One canary a rule: if a rule finds nothing here, it finds nothing anywhere.
  @Test(arguments: [
    ("Sources/LogBroker/X.swift", "import KafkaClients", "LogBroker may not import KafkaClients"),
    ("Sources/KafkaClients/X.swift", "import LogBroker", "KafkaClients may not import LogBroker"),
    ("Sources/Streaming/X.swift", "@_exported import KafkaProtocol", "Streaming may not import KafkaProtocol"),
    ("Sources/Streaming/X.swift", "import LinuxSystem", "Streaming may not import LinuxSystem"),
    ("Sources/Datasets/X.swift", "public import struct Codecs.Codec", "Datasets may not import Codecs"),
    ("Sources/Journals/X.swift", "import Glibc", "go through a seam"),
    ("Sources/Journals/X.swift", "import Dispatch", "go through a seam"),
    ("Tests/Simulation/X.swift", "import Glibc", "go through a seam"),
    ("Tests/Simulation/X.swift", "import LinuxSystem", "Simulation may not import LinuxSystem"),
    ("Tests/JournalsTests/X.swift", "import XCTest", "no module of ours"),
    ("Sources/Groundwork/X.swift", "import FoundationEssentials", "imports FoundationEssentials"),
    ("Tests/JournalsTests/X.swift", "@testable import Foundation", "imports Foundation"),
    ("jobs/WordCount/X.swift", "import Groundwork", "a job imports Groundwork"),
    ("Sources/Utils/X.swift", "import Groundwork", "stands in no row"),
    ("Tests/JournalsTests/X.swift", "  usle" + "ep(1000)", "sleeps"),
    ("Tests/JournalsTests/X.swift", "  try await Task.sle" + "ep(for: .seconds(1))", "sleeps"),
    ("Sources/Journals/X.swift", "// TO" + "DO: later", "unfinished"),
    ("Sources/Journals/X.swift", "  fatalError(\"" + "not implemented\")", "unfinished"),
    ("Sources/Journals/X.swift", "final class X: @unchecked " + "Sendable {}", "without a sentence"),
    ("Sources/Journals/X.swift", "/// A thing.\nnonisolated(" + "unsafe) var x = 0", "without a sentence"),
    ("Sources/Journals/X.swift", "let x = unsafeBit" + "Cast(y, to: Int.self)", "without a sentence"),
    ("Sources/Journals/X.swift", String(repeating: "let x = 1\n", count: 700), "take the file apart"),
  ])
  func canariesFail(path: String, text: String, expected: String) {
    let findings = HouseRules.all.flatMap { $0(SourceFile(path: path, text: text)) }
    #expect(findings.contains { $0.what.contains(expected) }, "\(path): \(findings)")
  }

  @Test(arguments: [
    ("Sources/LogBroker/X.swift", "import LogStorage\nimport Synchronization"),
    ("Sources/LinuxSystem/X.swift", "import Glibc\nimport Dispatch\nimport CPrimitives"),
    ("Tests/SystemTests/X.swift", "import Testing\nimport Glibc\n@testable import LinuxSystem"),
    ("jobs/WordCount/X.swift", "import Sluice"),
    ("Sources/Journals/X.swift", "/// Safe: confined to its loop.\nfinal class X: @unchecked " + "Sendable {}"),
    ("Sources/Journals/X.swift", "let important = 1 // import nothing"),
  ])
  func goodTextPasses(path: String, text: String) {
    let findings = HouseRules.all.flatMap { $0(SourceFile(path: path, text: text)) }
    #expect(findings.isEmpty, "\(findings)")
  }

  @Test func aManifestThatBreaksTheTableIsFound() {
    let text = """
      func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
        .target(name: name, dependencies: dependencies, path: "Sources/\\(name)")
      }
      products: [.library(name: "Sluice", targets: ["Sluice"])],
      library("Streaming", ["Datasets", "KafkaProtocol"]),
      library("Mystery", []),
      .target(name: "Simulation", dependencies: ["LinuxSystem"], path: "Tests/Simulation"),
      """
    let findings = HouseRules.manifest(text).map(\.what)
    #expect(
      findings == [
        "Streaming may not depend on KafkaProtocol: see the import table",
        "the target Mystery stands in no row of the import table",
        "Simulation may not depend on LinuxSystem: see the import table",
      ])
  }
}
