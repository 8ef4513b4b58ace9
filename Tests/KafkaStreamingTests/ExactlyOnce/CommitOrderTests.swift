import Groundwork
import Simulation
import Testing

/// Goal: whatever moment of a batch's commit the job's process dies at, each output holds what a serial run of the job
/// gives. Strategy: the same job again and again, killed after each event of the world in turn and at each call of its
/// disk, over four batches, for every pair of kinds of outputs; then it is started again, some of the times to be killed
/// once more.
@Suite struct CommitOrderTests {
  static let definitions = [
    ExactDefinition([.topic, .files], counted: .files), ExactDefinition([.topic, .table], counted: .topic),
    ExactDefinition([.text, .topic], counted: .topic), ExactDefinition([.files, .table], counted: .table),
    ExactDefinition([.text, .files], counted: .files), ExactDefinition([.text, .table], counted: .table),
    ExactDefinition([.files, .otherFiles], counted: .otherFiles),
    ExactDefinition([.table, .otherTable], counted: .otherTable), ExactDefinition([.topic], counted: .topic),
    ExactDefinition([.text], counted: .text),
    ExactDefinition([.table, .files, .topic, .text], counted: .files),
  ]

  @Test(arguments: definitions.indices) func aJobKilledBetweenAnyTwoSteps(index: Int) throws {
    try ExactRuns.holdEverywhere(Self.definitions[index], .jobDies, quick: 24, seed: UInt64(index))
  }

  /// Of what the job has written and not synced, any part is gone.
  @Test(arguments: definitions.indices) func aJobWhoseMachineLosesPowerBetweenAnyTwoSteps(index: Int) throws {
    try ExactRuns.holdEverywhere(Self.definitions[index], .jobLosesPower, quick: 12, seed: UInt64(index) + 100)
  }

  /// With every batch's plan synced, and with nothing synced: the death of a process alone takes nothing of either.
  @Test(arguments: ["all", "none"]) func aJobThatSyncsOtherwise(sync: String) throws {
    for (index, outputs) in [[ExactOutput.files, .topic], [.table, .files], [.text, .table]].enumerated() {
      var definition = ExactDefinition(outputs, counted: outputs[0])
      definition.settings["sluice.streaming.checkpoint.sync"] = sync
      definition.retry()
      try ExactRuns.holdEverywhere(definition, .jobDies, quick: 10, seed: UInt64(index) + 500)
      if sync == "all" {
        try ExactRuns.holdEverywhere(definition, .jobLosesPower, quick: 10, seed: UInt64(index) + 600)
      }
    }
  }
}
