// swift-tools-version: 6.2
import PackageDescription

// Every Swift target: Swift 6 language mode (from the tools version), warnings are errors.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
// WireFormat's reader cannot outlive the bytes it reads; targets that hand it on need the feature as well.
let lifetimes: [SwiftSetting] = strict + [.enableExperimentalFeature("Lifetimes")]

/// A library target of the house; what it may import is decided by the import table in Tests/HouseTests.
func library(_ name: String, _ dependencies: [Target.Dependency], _ settings: [SwiftSetting] = strict) -> Target {
  .target(name: name, dependencies: dependencies, path: "Sources/\(name)", swiftSettings: settings)
}

/// A folder of tests, named for the target it tests.
func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], resources: [Resource] = []
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude, resources: resources,
    // What is tested is optimised; the tests themselves would only take twice as long to build.
    swiftSettings: lifetimes + [.unsafeFlags(["-Onone"], .when(configuration: .release))])
}

/// A program carries everything it needs: it runs on machines without Swift, and starts without a search for libraries.
let alone: [LinkerSetting] = [
  .unsafeFlags(
    ["-static-executable", "-use-ld=lld", "-Xlinker", "--icf=safe", "-Xlinker", "--strip-debug"],
    .when(configuration: .release))
]

/// A job executable: it sees the public face only.
func job(_ name: String, in folder: String = "jobs", exclude: [String] = []) -> Target {
  .executableTarget(
    name: name, dependencies: ["Sluice"], path: "\(folder)/\(name)", exclude: exclude, packageAccess: false,
    swiftSettings: strict, linkerSettings: alone)
}

func benchmark(
  _ name: String, _ dependencies: [Target.Dependency], linking: [LinkerSetting] = alone
) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies, path: "Benchmarks/\(name)", swiftSettings: lifetimes,
    linkerSettings: linking)
}

let package = Package(
  name: "sluice",
  products: [
    .executable(name: "sluice", targets: ["SluiceProgram"]),
    .library(name: "Sluice", targets: ["Sluice"]),
  ],
  targets: [
    // Floor 0: system libraries, C primitives, groundwork.
    .systemLibrary(name: "CZlib", path: "Sources/CZlib"),
    .systemLibrary(name: "CLZ4", path: "Sources/CLZ4"),
    .systemLibrary(name: "CSnappy", path: "Sources/CSnappy"),
    .systemLibrary(name: "CZstd", path: "Sources/CZstd"),
    .systemLibrary(name: "CLibevent", path: "Sources/CLibevent"),
    .systemLibrary(name: "CSQLite", path: "Sources/CSQLite"),
    .target(name: "CPrimitives", path: "Sources/CPrimitives", cSettings: [.unsafeFlags(["-O2"])]),
    library("Groundwork", ["CPrimitives"]),
    // Floor 1: the seams, codecs, wire format.
    library("SystemInterfaces", ["Groundwork"]),
    library("Codecs", ["Groundwork", "CZlib", "CLZ4", "CSnappy", "CZstd"]),
    library("WireFormat", ["Groundwork"], lifetimes),
    // Floor 2
    library("Journals", ["SystemInterfaces", "WireFormat", "Groundwork", "CPrimitives"], lifetimes),
    library("KafkaProtocol", ["WireFormat", "Codecs", "Groundwork", "CPrimitives"], lifetimes),
    library("Datasets", ["Groundwork"]),
    // Floor 3
    library("LogStorage", ["KafkaProtocol", "Journals", "SystemInterfaces", "Groundwork"], lifetimes),
    library("KafkaClients", ["KafkaProtocol", "Codecs", "SystemInterfaces", "Groundwork"], lifetimes),
    library("JobScheduling", ["Datasets", "Codecs", "SystemInterfaces", "Groundwork"]),
    // Floor 4
    library("LogBroker", ["LogStorage", "KafkaProtocol", "SystemInterfaces", "Groundwork"], lifetimes),
    library("Streaming", ["JobScheduling", "Datasets", "Journals", "Codecs", "SystemInterfaces", "Groundwork"]),
    // Floor 5
    library(
      "KafkaStreaming",
      ["Streaming", "Datasets", "KafkaClients", "KafkaProtocol", "Codecs", "SystemInterfaces", "Groundwork"],
      lifetimes),
    library("FileStreaming", ["Streaming", "Datasets", "Journals", "Codecs", "SystemInterfaces", "Groundwork"]),
    library("SQLStreaming", ["Streaming", "Datasets", "SystemInterfaces", "Groundwork", "CSQLite"]),
    library(
      "Monitoring", ["Streaming", "JobScheduling", "Datasets", "SystemInterfaces", "Groundwork", "CLibevent"]),
    // Side: the live seams.
    library("LinuxSystem", ["SystemInterfaces", "Groundwork", "CPrimitives"]),
    // Roof
    library(
      "Sluice",
      [
        "Groundwork", "SystemInterfaces", "Codecs", "Journals", "KafkaProtocol", "Datasets", "LogStorage",
        "KafkaClients", "JobScheduling", "LogBroker", "Streaming", "KafkaStreaming", "FileStreaming", "SQLStreaming",
        "Monitoring", "LinuxSystem",
      ], lifetimes),
    library(
      "SluiceCommand",
      [
        "Sluice", "LogBroker", "LogStorage", "KafkaClients", "KafkaProtocol", "Codecs", "LinuxSystem",
        "SystemInterfaces", "Groundwork",
      ], lifetimes),
    .executableTarget(
      name: "SluiceProgram", dependencies: ["SluiceCommand"], path: "Sources/SluiceProgram", swiftSettings: strict,
      linkerSettings: alone),

    // jobs: public API only.
    job("WordCount"),
    job("FlightDelays", exclude: ["data", "demo.svg"]),
    job("KafkaToFiles"),
    job("StatefulSessions"),
    job("TopRoutes"),

    // Benchmarks
    .target(name: "CAllocationCounts", path: "Benchmarks/CAllocationCounts"),
    .target(
      name: "BenchmarkWorkload", dependencies: ["KafkaProtocol", "Codecs", "Groundwork"],
      path: "Benchmarks/BenchmarkWorkload", swiftSettings: strict),
    .target(
      name: "BenchmarkProcesses", dependencies: ["Sluice", "LinuxSystem", "SystemInterfaces"],
      path: "Benchmarks/BenchmarkProcesses", swiftSettings: strict),
    benchmark(
      "RecordBatches",
      [
        "KafkaProtocol", "Codecs", "Groundwork", "CZlib", "CLZ4", "CSnappy", "CZstd", "CAllocationCounts",
        "BenchmarkWorkload",
      ],
      // It puts its own malloc in front of the C library's.
      linking: []),
    .target(
      name: "StreamRuns", dependencies: ["Sluice", "JobScheduling", "Groundwork", "LinuxSystem", "SystemInterfaces"],
      path: "Benchmarks/StreamRuns", swiftSettings: strict),
    benchmark(
      "Engine",
      [
        "Sluice", "JobScheduling", "KafkaProtocol", "LinuxSystem", "SystemInterfaces", "BenchmarkWorkload",
        "StreamRuns",
      ]),
    benchmark("Growth", ["Sluice", "Groundwork", "LinuxSystem", "SystemInterfaces", "StreamRuns"]),
    benchmark(
      "Generator",
      ["Sluice", "KafkaClients", "KafkaProtocol", "LinuxSystem", "SystemInterfaces", "BenchmarkWorkload"]),
    job("MeasuredJob", in: "Benchmarks/jobs"),
    .executableTarget(
      name: "Reference", path: "Benchmarks/peers",
      exclude: ["run", "counting.py", "bytewax_count.py", "quixstreams_count.py"], sources: ["reference.c"],
      // The physical limit is that of this machine.
      cSettings: [.unsafeFlags(["-O3", "-march=native"])],
      linkerSettings: [
        .linkedLibrary("lz4"), .linkedLibrary("zstd"), .linkedLibrary("snappy"), .linkedLibrary("z"),
      ]),
    benchmark("Throughput", ["BenchmarkProcesses", "BenchmarkWorkload", "Sluice", "LinuxSystem"]),
    benchmark("BatchStability", ["BenchmarkProcesses", "Sluice", "LinuxSystem"]),
    benchmark("ColdStart", ["BenchmarkProcesses", "Sluice", "LinuxSystem"]),
    benchmark(
      "Latency",
      [
        "BenchmarkProcesses", "BenchmarkWorkload", "Sluice", "KafkaClients", "KafkaProtocol", "LinuxSystem",
        "SystemInterfaces",
      ]),
    benchmark(
      "Guarantees",
      [
        "Sluice", "JobScheduling", "KafkaClients", "KafkaProtocol", "LinuxSystem", "LogBroker", "SystemInterfaces",
        "BenchmarkWorkload",
      ]),

    // Tests
    .target(
      name: "Simulation", dependencies: ["SystemInterfaces", "Groundwork"], path: "Tests/Simulation",
      swiftSettings: strict),
    job("KilledTotals", in: "Tests"),
    job("KilledOutputs", in: "Tests"),
    .executableTarget(
      name: "AbortedTransactions",
      dependencies: ["KafkaClients", "KafkaProtocol", "LinuxSystem", "SystemInterfaces", "Groundwork"],
      path: "Tests/AbortedTransactions", swiftSettings: strict),
    tests("HouseTests", ["LinuxSystem", "SystemInterfaces", "Groundwork"]),
    tests("GroundworkTests", ["Groundwork", "CPrimitives"]),
    tests("WireFormatTests", ["WireFormat", "Groundwork"]),
    tests("CodecsTests", ["Codecs", "Groundwork"]),
    tests("SystemTests", ["SystemInterfaces", "LinuxSystem", "Simulation", "Groundwork"]),
    tests("JournalsTests", ["Journals", "Simulation", "SystemInterfaces", "Groundwork"]),
    tests(
      "KafkaProtocolTests", ["KafkaProtocol", "Codecs", "WireFormat", "Groundwork"], resources: [.copy("Golden")]),
    tests("DatasetsTests", ["Datasets", "Groundwork"]),
    tests("LogStorageTests", ["LogStorage", "KafkaProtocol", "Simulation", "SystemInterfaces", "Groundwork"]),
    tests(
      "KafkaClientsTests",
      ["KafkaClients", "LogBroker", "KafkaProtocol", "Codecs", "Simulation", "SystemInterfaces", "Groundwork"]),
    tests(
      "LogBrokerTests", ["LogBroker", "LogStorage", "KafkaProtocol", "Simulation", "SystemInterfaces", "Groundwork"]),
    tests(
      "FileStreamingTests",
      [
        "FileStreaming", "Streaming", "JobScheduling", "Datasets", "Codecs", "Journals", "Simulation", "LinuxSystem",
        "SystemInterfaces", "Groundwork",
      ]),
    tests(
      "MonitoringTests",
      [
        "Monitoring", "Streaming", "JobScheduling", "Datasets", "Simulation", "LinuxSystem", "SystemInterfaces",
        "Groundwork",
      ]),
    tests(
      "JobSchedulingTests",
      ["JobScheduling", "Datasets", "Simulation", "LinuxSystem", "SystemInterfaces", "Groundwork"]),
    tests("StreamingTests", ["Streaming", "SQLStreaming", "Simulation", "SystemInterfaces", "Groundwork"]),
    tests(
      "SQLStreamingTests",
      ["SQLStreaming", "Streaming", "Datasets", "Simulation", "LinuxSystem", "SystemInterfaces", "Groundwork"]),
    tests(
      "KafkaStreamingTests",
      [
        "KafkaStreaming", "FileStreaming", "SQLStreaming", "Streaming", "JobScheduling", "Datasets", "LogBroker",
        "KafkaClients", "KafkaProtocol", "Codecs", "Simulation", "LinuxSystem", "SystemInterfaces", "Groundwork",
      ]),
    tests(
      "InteropTests",
      [
        "Sluice", "LinuxSystem", "SystemInterfaces", "KafkaProtocol", "KafkaClients", "Codecs", "LogBroker",
        "Streaming",
        "Groundwork",
      ], exclude: ["clients"]),
    tests(
      "SluiceCommandTests",
      ["SluiceCommand", "Sluice", "Codecs", "Simulation", "LinuxSystem", "SystemInterfaces", "Groundwork"]),
    tests("ScenarioTests", ["Sluice", "LinuxSystem", "SystemInterfaces", "KafkaProtocol", "Groundwork", "Codecs"]),
  ]
)

// A part of the package: the targets that are named, with what they need. Tests/run builds such a part under the thread
// sanitizer, where all of it would take too long.
if let names = Context.environment["SLUICE_ONLY"] {
  var wanted = names.split(separator: " ").map(String.init)
  var kept: Set<String> = []
  while let name = wanted.popLast() {
    guard kept.insert(name).inserted, let target = package.targets.first(where: { $0.name == name }) else { continue }
    for case .byNameItem(let needed, _) in target.dependencies { wanted.append(needed) }
  }
  package.targets.removeAll { !kept.contains($0.name) }
  package.products.removeAll()
}
