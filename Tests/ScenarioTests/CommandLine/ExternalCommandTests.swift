import Groundwork
import Testing

@testable import Sluice

/// The commands of `RDD.pipe` as real processes.
struct ExternalCommandTests {
  @Test func outputComesBackWhileOthersRun() async throws {
    let commands = ExternalCommands(atOnceMax: 2)
    let outputs = try await withThrowingTaskGroup(of: (Int, Bytes).self) { group in
      for number in 0..<9 {
        group.addTask {
          let output = try await withCheckedThrowingContinuation { continuation in
            commands.run(
              ["sh", "-c", "echo $PREFIX; tr a-z A-Z"], environment: ["PREFIX": "\(number)"], input: "words\n"
            ) { continuation.resume(with: $0) }
          }
          return (number, output)
        }
      }
      return try await group.reduce(into: [Int: Bytes]()) { $0[$1.0] = $1.1 }
    }
    #expect(outputs == Dictionary(uniqueKeysWithValues: (0..<9).map { ($0, Bytes("\($0)\nWORDS\n")) }))
  }

  @Test func aCommandThatFailsSaysWhat() async {
    let commands = ExternalCommands(atOnceMax: 1)
    let failing = await #expect(throws: DatasetError.self) {
      _ = try await withCheckedThrowingContinuation { continuation in
        commands.run(["sh", "-c", "echo first >&2; echo no room >&2; exit 3"], environment: [:], input: Bytes()) {
          continuation.resume(with: $0)
        }
      }
    }
    #expect(failing?.description == "pipe: 'sh' ended with exit code 3: no room")
    await #expect(throws: (any Error).self) {
      _ = try await withCheckedThrowingContinuation { continuation in
        commands.run(["no-such-program"], environment: [:], input: Bytes()) { continuation.resume(with: $0) }
      }
    }
    // The place of one that failed is free again.
    let output = try? await withCheckedThrowingContinuation { continuation in
      commands.run(["cat"], environment: [:], input: "x") { continuation.resume(with: $0) }
    }
    #expect(output == "x")
  }
}
