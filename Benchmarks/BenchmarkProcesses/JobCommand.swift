/// How the job that benchmarks measure is started.
public struct JobCommand {
  /// What it does: count, filter, words, window, copy or files.
  public var work: String
  /// The topic it reads.
  public var input: String
  /// The topic it writes to, where it does.
  public var output: String?
  /// Its name, which no other job has.
  public var name: String
  /// A folder of its own, for its checkpoint, its log, and its files in `text` where it writes some.
  public var folder: String
  /// Its batch interval: `5ms`.
  public var interval: String
  /// What it promises.
  public var guarantee: Guarantee
  /// Its executor threads: `local[2]`.
  public var master: String
  /// Settings, `KEY=VALUE`.
  public var settings: [String]
  /// Whether it ends with what the topic holds at its start.
  public var drains = false
  /// How long its batches are left out of its figures, in seconds.
  public var warmUp = 0

  /// Runs until it is told to stop; measures from its first batch on.
  public init(
    work: String, input: String, output: String? = nil, name: String, folder: String, interval: String,
    guarantee: Guarantee, master: String, settings: [String]
  ) {
    self.work = work
    self.input = input
    self.output = output
    self.name = name
    self.folder = folder
    self.interval = interval
    self.guarantee = guarantee
    self.master = master
    self.settings = settings
  }

  /// Starts it against a broker.
  public func start(_ programs: Programs, _ broker: BrokerProcess) throws -> MeasuredProcess {
    var arguments = [
      "--work", work, "--input", input, "-b", broker.address, "--name", name, "--checkpoint", "\(folder)/checkpoint",
      "--batch-interval", interval, "--master", master, "--warm-up", "\(warmUp)s", "--conf",
      "sluice.streaming.guarantee=\(guarantee.rawValue)",
    ]
    for setting in settings { arguments += ["--conf", setting] }
    if let output { arguments += ["--output", output] }
    if work == "files" { arguments += ["--folder", "\(folder)/text"] }
    if drains { arguments.append("--available-now") }
    return try MeasuredProcess(
      try programs.path("MeasuredJob"), arguments, environment: ["XDG_STATE_HOME": "\(folder)/state"],
      log: "\(folder)/job.log")
  }
}
