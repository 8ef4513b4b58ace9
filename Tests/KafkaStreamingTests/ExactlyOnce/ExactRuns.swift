import Groundwork
import LinuxSystem
import Testing

/// Runs an `ExactWorld` once for each moment.
enum ExactRuns {
  static var isLong: Bool { ThisProcess.environment("SLUICE_LONG") != nil }

  /// Runs a world with strikes, and records what does not hold.
  /// - Returns: how many of them have hit, and how runs of the job ended that did not end well; nil where something does
  ///   not hold.
  static func hold(
    _ definition: ExactDefinition, _ strikes: [Strike], seed: UInt64, flushes: Bool = false
  ) throws -> (struck: Int, errors: [String])? {
    let world = try ExactWorld(definition, strikes, seed: seed, flushes: flushes)
    defer { world.end() }
    let problems = world.run()
    guard !problems.isEmpty else { return (world.struck, world.errors) }
    Issue.record("seed \(seed), \(strikes): \(problems.prefix(4).joined(separator: "; "))\n\(world.story)")
    return nil
  }

  /// Strikes the job's second to fifth batch at every call of a disk and after every event, as many of them as there is time
  /// for: `quick` in the gate, evenly spread, beginning at a place that the seed says.
  static func holdEverywhere(
    _ definition: ExactDefinition, _ blow: Strike.Blow, then second: Strike.Blow? = nil, quick: Int, seed: UInt64,
    flushes: Bool = false
  ) throws {
    let plain = try ExactWorld(definition, seed: seed, flushes: flushes)
    let problems = plain.run()
    let counted = plain.counted
    if !problems.isEmpty { Issue.record("\(problems.prefix(4))\n\(plain.story)") }
    plain.end()
    let isJob = isOfJob(blow)
    let calls = isJob ? counted.jobCalls : counted.brokerCalls
    #expect(counted.events > 40 && calls > 10, "\(counted)")
    var moments: [Strike.Moment] = (1...max(1, calls)).map { isJob ? .jobCall($0) : .brokerCall($0) }
    moments += (1...counted.events).map { .event($0) }
    let wanted = SeedRuns.setting("SLUICE_SEEDS") ?? (isLong ? quick * 8 : quick)
    // Half at calls, half after events, each evenly spread.
    var chosen = spread(moments.prefix(calls), wanted / 2, seed) + spread(moments.dropFirst(calls), wanted / 2, seed)
    if let only = SeedRuns.setting("SLUICE_MOMENT") { chosen = [moments[only]] }
    var random = SeededRandom(seed: seed ^ 0x57)
    var failed = 0
    var struck = 0
    for moment in chosen where failed < 3 {
      var strikes = [Strike(moment: moment, blow: blow, isTorn: random.next() % 2 == 0)]
      // A third of the starts that follow is struck as well.
      let again = Int(random.next() % 60) + 1
      if second != nil || random.next() % 3 == 0 {
        let blow = second ?? blow
        let call = again / 2 + 1
        let moment: Strike.Moment =
          random.next() % 2 == 0 ? .event(again * 4) : isOfJob(blow) ? .jobCall(call) : .brokerCall(call)
        strikes.append(Strike(moment: moment, blow: blow, isTorn: true))
      }
      if let end = try hold(definition, strikes, seed: seed, flushes: flushes) {
        struck += end.struck > 0 ? 1 : 0
      } else {
        failed += 1
      }
    }
    #expect(failed > 0 || struck == chosen.count, "\(struck) of \(chosen.count) were struck")
  }

  private static func isOfJob(_ blow: Strike.Blow) -> Bool {
    switch blow {
    case .jobDies, .jobLosesPower: true
    default: false
    }
  }

  /// So many of the elements, evenly spread; all where they are fewer.
  static func spread<Element>(_ elements: ArraySlice<Element>, _ count: Int, _ seed: UInt64) -> [Element] {
    let all = Array(elements)
    guard all.count > count, count > 0 else { return all }
    let first = Int(seed % UInt64(max(1, all.count / count)))
    return (0..<count).map { all[min(all.count - 1, first + $0 * all.count / count)] }
  }
}
