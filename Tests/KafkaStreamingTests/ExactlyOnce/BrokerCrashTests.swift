import Groundwork
import Simulation
import Testing

/// Goal: a broker that dies at any moment of a job's transactions costs the job nothing: it goes on by itself, and each
/// batch is there whole and once. Strategy: the broker is killed at each write and sync of its disk, and after each event
/// of the world, while the job runs four batches; some of the times once more, or the job after it.
@Suite struct BrokerCrashTests {
  private static let definitions = [
    ExactDefinition([.topic], counted: .topic), ExactDefinition([.topic, .files], counted: .topic),
    ExactDefinition([.table, .topic], counted: .table),
  ]

  @Test(arguments: definitions.indices) func aBrokerKilledBetweenAnyTwoSteps(index: Int) throws {
    try ExactRuns.holdEverywhere(Self.definitions[index], .brokerDies, quick: 40, seed: UInt64(index) + 200)
  }

  @Test(arguments: definitions.indices) func aBrokerWhoseMachineLosesPowerBetweenAnyTwoSteps(index: Int) throws {
    try ExactRuns.holdEverywhere(
      Self.definitions[index], .brokerLosesPower, quick: 24, seed: UInt64(index) + 300, flushes: true)
  }

  /// What the coordinator had not said when it died, the job does not live to ask: its next run does.
  @Test(arguments: definitions.indices) func brokerAndJobKilled(index: Int) throws {
    try ExactRuns.holdEverywhere(
      Self.definitions[index], .brokerDies, then: .jobDies, quick: 24, seed: UInt64(index) + 400)
  }
}
