/// Which target may import which: the import table of the architecture, as data.
///
/// SwiftPM lets a target import whatever its dependencies bring along; this table does not. A change of it is a change
/// of the design and says why in its commit.
enum ImportTable {
  /// Modules of the toolchain that any target may use.
  static let anywhere: Set<String> = ["Swift", "Synchronization"]

  /// The C library and Dispatch stay behind the seams.
  static let system: Set<String> = ["Glibc", "Dispatch"]

  static let codecLibraries: Set<String> = ["CZlib", "CLZ4", "CSnappy", "CZstd"]

  /// Module maps over libraries of the system: no Swift in them.
  static let systemLibraries = codecLibraries.union(["CLibevent", "CSQLite"])

  /// Floor by floor; what stands in a row is all that its target may import of ours.
  static let rows: [String: Set<String>] = [
    // Floor 0
    "CZlib": [], "CLZ4": [], "CSnappy": [], "CZstd": [], "CLibevent": [], "CSQLite": [], "CPrimitives": [],
    "Groundwork": ["CPrimitives"],
    // Floor 1
    "SystemInterfaces": ["Groundwork"],
    "Codecs": codecLibraries.union(["Groundwork", "CPrimitives"]),
    "WireFormat": ["Groundwork"],
    // Floor 2
    "Journals": ["SystemInterfaces", "WireFormat", "Groundwork", "CPrimitives"],
    "KafkaProtocol": ["WireFormat", "Codecs", "Groundwork", "CPrimitives"],
    "Datasets": ["Groundwork"],
    // Floor 3
    "LogStorage": ["KafkaProtocol", "Journals", "SystemInterfaces", "Groundwork"],
    // Codecs: a producer compresses what it collects.
    "KafkaClients": ["KafkaProtocol", "Codecs", "SystemInterfaces", "Groundwork"],
    "JobScheduling": ["Datasets", "Codecs", "SystemInterfaces", "Groundwork"],
    // Floor 4
    "LogBroker": ["LogStorage", "KafkaProtocol", "SystemInterfaces", "Groundwork"],
    "Streaming": ["JobScheduling", "Datasets", "Journals", "Codecs", "SystemInterfaces", "Groundwork"],
    // Floor 5
    // Codecs: its tasks open and close record batches and own the workspaces for it.
    "KafkaStreaming": [
      "Streaming", "Datasets", "KafkaClients", "KafkaProtocol", "Codecs", "SystemInterfaces", "Groundwork",
    ],
    "FileStreaming": ["Streaming", "Datasets", "Journals", "Codecs", "SystemInterfaces", "Groundwork"],
    "SQLStreaming": ["Streaming", "Datasets", "SystemInterfaces", "Groundwork", "CSQLite"],
    // JobScheduling, Datasets: the page shows what the scheduler and the block store count.
    "Monitoring": ["Streaming", "JobScheduling", "Datasets", "SystemInterfaces", "Groundwork", "CLibevent"],
    // Side: CPrimitives has the Linux calls that Swift's Glibc module hides.
    "LinuxSystem": ["SystemInterfaces", "Groundwork", "CPrimitives"],
    // Roof and root
    "Sluice": [
      "Groundwork", "SystemInterfaces", "WireFormat", "Codecs", "Journals", "KafkaProtocol", "Datasets", "LogStorage",
      "KafkaClients", "JobScheduling", "LogBroker", "Streaming", "KafkaStreaming", "FileStreaming", "SQLStreaming",
      "Monitoring", "LinuxSystem",
    ],
    "SluiceProgram": ["SluiceCommand"],
    "SluiceCommand": [
      "Sluice", "LogBroker", "LogStorage", "KafkaClients", "KafkaProtocol", "Groundwork", "SystemInterfaces",
      "LinuxSystem", "Codecs",
    ],
    // What benchmarks share.
    "CAllocationCounts": [], "BenchmarkWorkload": ["KafkaProtocol", "Codecs", "Groundwork"],
    "BenchmarkProcesses": ["Sluice", "LinuxSystem", "SystemInterfaces"],
    "StreamRuns": ["Sluice", "JobScheduling", "Groundwork", "LinuxSystem", "SystemInterfaces"],
    // A program in C that the benchmarks measure against.
    "Reference": [],
    // A program that tests start: a producer without an engine.
    "AbortedTransactions": ["KafkaClients", "KafkaProtocol", "LinuxSystem", "SystemInterfaces", "Groundwork"],
    // The simulation stands where LinuxSystem stands.
    "Simulation": ["SystemInterfaces", "Groundwork"],
  ]

  /// Who may import the C library and Dispatch, tests aside.
  static let systemUsers: Set<String> = ["LinuxSystem"]

  static let jobImports: Set<String> = ["Sluice"]

  /// Never together in one library, whatever the rows say.
  static let strangers = [("LogBroker", "KafkaClients")]
}
