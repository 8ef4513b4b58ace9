import Groundwork
import LinuxSystem
import SystemInterfaces
import Testing

/// `sluice submit` with shell scripts as jobs: real processes, real signals.
@Suite struct SubmitTests {
  @Test func settingsGoOnAndTheExitCodeComesBack() throws {
    let place = try Place()
    let job = try place.script("job", #"echo "$@"; exit 7"#)
    let outcome = try Program.sluice(
      ["submit", job, "-b", "h:9092", "--conf", "a=1", "--conf=b=2", "--available-now", "--", "--own", "two words"],
      in: place)
    #expect(outcome.exit == .code(7))
    #expect(outcome.output == "--bootstrap-server h:9092 --available-now --conf a=1 --conf b=2 --own two words\n")
    #expect(outcome.error == "")
  }

  @Test func inputReachesTheJob() throws {
    let place = try Place()
    let job = try place.script("job", "cat")
    #expect(try Program.sluice(["submit", job], in: place, input: "through").output == "through")
  }

  @Test func aJobKilledByASignalGivesTheShellsCode() throws {
    let place = try Place()
    let job = try place.script("job", "kill -KILL $$")
    #expect(try Program.sluice(["submit", job], in: place).exit == .code(137))
  }

  @Test(arguments: [(Signal.terminate, "term", 8), (Signal.interrupt, "int", 9)] as [(Signal, String, Int32)])
  func signalsReachTheJob(signal: Signal, word: String, code: Int32) throws {
    let place = try Place()
    // The job says when its traps stand, and waits in pieces so that a trap is served soon.
    let job = try place.script(
      "job", "trap 'echo term; exit 8' TERM; trap 'echo int; exit 9' INT; echo ready; while :; do sleep 0.05; done")
    let submit = try Program.start(["submit", job], in: place)
    #expect(submit.nextLine() == "ready")
    submit.send(signal)
    #expect(submit.nextLine() == word)
    #expect(submit.wait() == .code(code))
  }

  /// A signal that comes while the job is being defined: it holds its lock, and there is nothing to stop yet.
  @Test func aSignalBeforeTheJobBeginsEndsItInOrder() throws {
    let place = try Place()
    let fifo = "\(place.path)/fifo"
    _ = try ChildProcess.run("mkfifo", [fifo])
    let job = try ChildProcess(
      Program.path("TopRoutes"), ["--data", fifo, "--name", "waiting"], environment: place.environment,
      directory: place.path, input: .null, output: .file(place.path + "/output.txt", appending: true),
      error: .file(place.path + "/error.txt", appending: true))
    defer {
      job.send(.kill)
      job.wait()
    }
    let other = try place.script("other", "exit 0")
    // It waits in its definition until somebody opens the pipe for writing; the lock's file names it by then. Nobody else
    // may ask for the lock before, or the job might find it taken.
    let lock = "\(place.path)/state/sluice/jobs/waiting.lock"
    let deadline = ContinuousClock.now + .seconds(30)
    while (try? LinuxFileStore().contents(of: lock))?.contains("pid \(job.pid)") != true, ContinuousClock.now < deadline
    {}
    #expect(try Program.sluice(["submit", "--name", "waiting", other], in: place).exit != .code(0))
    job.send(.terminate)
    _ = try ChildProcess.run("timeout", ["20", "/bin/sh", "-c", ": > \(fifo)"])
    #expect(job.wait() == .code(143), "\(place.errors)")
    #expect(place.errors.contains("stopping after the batch that runs"), "\(place.errors)")
    #expect(try Program.sluice(["submit", "--name", "waiting", other], in: place).exit == .code(0))
  }

  @Test func offsetsFromIsAFlagOfItsOwn() throws {
    let place = try Place()
    let job = try place.script("job", #"echo "$@""#)
    let outcome = try Program.sluice(["submit", job, "--offsets-from", "group"], in: place)
    #expect(outcome.output == "--offsets-from group\n")
    let wrong = try Program.sluice(["submit", job, "--offsets-from", "me"], in: place)
    #expect(wrong.exit == .code(2))
    #expect(wrong.error.contains("--offsets-from") && wrong.error.contains("checkpoint or group"), "\(wrong.error)")
  }

  @Test func twoLiveJobsOfOneNameAreRefused() throws {
    let place = try Place()
    let job = try place.script("job", "echo ready; while :; do sleep 0.05; done")
    let first = try Program.start(["submit", "--name", "counts", job], in: place)
    defer {
      first.send(.kill)
      first.wait()
    }
    #expect(first.nextLine() == "ready")
    let second = try Program.sluice(["submit", "--name", "counts", job], in: place)
    #expect(second.exit == .code(1))
    #expect(
      second.error
        == "sluice: a job named counts is running (pid \(first.pid)): stop that one first, or give this one another "
        + "name with --name\n")
    let other = try Program.sluice(["submit", "--name", "others", try place.script("short", "exit 0")], in: place)
    #expect(other.exit == .code(0))
    // The shell ends with the signal; then the name is free again.
    first.send(.terminate)
    #expect(first.wait() == .code(143))
    let again = try Program.sluice(["submit", "--name", "counts", try place.script("short", "exit 0")], in: place)
    #expect(again.exit == .code(0))
  }

  @Test func superviseStartsAgainUntilItIsACrashLoop() throws {
    let place = try Place()
    let job = try place.script("job", "echo run; exit 3")
    let outcome = try Program.sluice(
      ["submit", "--supervise", "--crash-limit", "3", "--restart-pause", "1ms", job], in: place)
    #expect(outcome.exit == .code(3))
    #expect(outcome.output == "run\nrun\nrun\n")
    #expect(outcome.error.contains("job ended with exit code 3; it starts again in "))
    #expect(outcome.error.contains("job failed 3 times within "))
  }

  @Test func superviseEndsWithSuccess() throws {
    let place = try Place()
    let job = try place.script("job", "if test -e there; then exit 0; fi; touch there; exit 1")
    let outcome = try Program.sluice(["submit", "--supervise", "--restart-pause", "1ms", job], in: place)
    #expect(outcome.exit == .code(0))
    #expect(outcome.error.filter { $0 == "\n" }.count == 1)
  }

  @Test func wrongUseIsNotTriedAgain() throws {
    let place = try Place()
    let job = try place.script("job", "echo run; exit 2")
    let outcome = try Program.sluice(["submit", "--supervise", job], in: place)
    #expect(outcome.exit == .code(2))
    #expect(outcome.output == "run\n")
  }

  @Test func aSignalInThePauseEndsTheSupervisor() throws {
    let place = try Place()
    let job = try place.script("job", "echo run; exit 1")
    let submit = try Program.start(
      ["submit", "--supervise", "--restart-pause", "1h", "--restart-pause-max", "1h", job], in: place)
    #expect(submit.nextLine() == "run")
    submit.send(.interrupt)
    // The signal comes in the pause or just before the end of the run was heard of: then the run's own end counts.
    let exit = submit.wait()
    #expect(exit == .code(130) || exit == .code(1))
  }
}
