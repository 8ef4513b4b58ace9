import Groundwork
import SystemInterfaces

/// Who is killed when: pauses between nothing and twice the mean, so that kills fall into starts as well as into batches.
struct VerifyMoments {
  /// Whom a kill hits.
  enum Victim: Equatable {
    case job
    /// The job goes on, and meets the broker again.
    case broker
    case both
  }

  struct Moment: Equatable {
    var pause: Duration
    var victim: Victim
    /// Whether the pause begins when the job has committed a batch in this life: on a slow machine all kills would fall
    /// into starts otherwise. Of three in a row one takes the start as it comes.
    var waitsForWork: Bool
  }

  private var random: SeededRandom
  private let mean: Duration
  private let killsBroker: Bool
  private var given = 0

  init(seed: UInt64, mean: Duration, killsBroker: Bool) {
    random = SeededRandom(seed: seed ^ 0x6B11)
    self.mean = mean
    self.killsBroker = killsBroker
  }

  /// The next kill: of four in a row one hits the broker, where that is wanted.
  mutating func next() -> Moment {
    let pause = mean * (2 * Double(random.next() >> 11) / Double(1 << 53))
    let isWithJob = random.next() % 3 == 0
    given += 1
    let victim: Victim = !killsBroker || given % 4 != 3 ? .job : isWithJob ? .both : .broker
    return Moment(pause: pause, victim: victim, waitsForWork: given % 3 != 0)
  }
}

/// The kills of a run.
struct VerifyKills: Equatable {
  var ofJob = 0
  /// Of the job's those that came after it had committed a batch in that life.
  var atWork = 0
  var ofBroker = 0

  var count: Int { ofJob + ofBroker }

  var text: String {
    "the job was killed \(ofJob) times, \(atWork) of them after it had committed batches in that life"
      + (ofBroker == 0 ? "" : "; the broker \(ofBroker) times")
  }
}

extension VerifyPlace {
  /// The longest wait for a batch: where the input is used up, none comes.
  private static let waitForWork = Duration.seconds(2)

  /// - Throws: where the job ends by itself meanwhile.
  private func letRun(_ time: Duration, _ kills: VerifyKills) throws {
    guard let exit = try exitOfJob(within: time) else { return }
    throw CommandError("the job ended by itself (\(exit)) after \(kills.count) kills \(lastWords())")
  }

  /// Kills the job over and over while its input comes, then lets it come to its end.
  func runKilled(_ lines: [Bytes], _ plan: VerifyPlan, _ process: CommandProcess) throws -> VerifyKills {
    let feed = try VerifyFeed(lines, plan.inputs, plan.partitions, try connection)
    var moments = VerifyMoments(seed: plan.seed, mean: plan.killEvery, killsBroker: plan.killsBroker)
    let start = process.loop.now
    var kills = VerifyKills()
    var committed: Int64 = 0
    var nextNews = start + .seconds(5)
    func share(of pause: Double) -> Double {
      if let wanted = plan.kills { return (Double(kills.count) + pause) / Double(wanted) }
      return (process.loop.now - start) / plan.time
    }
    while plan.kills.map({ kills.count < $0 }) ?? (process.loop.now - start < plan.time) {
      let moment = moments.next()
      let (pause, victim) = (moment.pause, moment.victim)
      if !isJobRunning {
        try startJob()
        committed = committedBytes
      }
      let limit = process.loop.now + Self.waitForWork
      while moment.waitsForWork, committedBytes == committed, process.loop.now < limit {
        // There must be work to wait for.
        feed.send(through: feed.sent + 1)
        try letRun(.milliseconds(2), kills)
      }
      let begin = process.loop.now
      // The input trickles in, so that there is work for every batch.
      while process.loop.now - begin < pause {
        let passed = process.loop.now - begin
        feed.send(through: Int(Double(lines.count) * share(of: passed / pause)))
        try letRun(min(.milliseconds(2), pause - passed), kills)
      }
      if victim != .broker {
        kills.ofJob += 1
        if committedBytes != committed { kills.atWork += 1 }
        killJob()
      }
      if victim != .job {
        kills.ofBroker += 1
        try killBroker()
      }
      if process.loop.now >= nextNews {
        process.report("\(feed.sent) of \(lines.count) records are in, \(kills.count) kills")
        nextNews = nextNews + .seconds(5)
      }
    }
    killJob()
    feed.send(through: lines.count)
    try feed.finish(process)
    try runToEnd()
    return kills
  }
}
