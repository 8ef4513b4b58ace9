import Groundwork
import SystemInterfaces

/// Where Sluice keeps what outlives a process: `$XDG_STATE_HOME/sluice`, else `~/.local/state/sluice` (XDG Base
/// Directory Specification 0.8).
package struct StateDirectory: Sendable {
  package let path: String

  package init(environment: (String) -> String?) throws(ConfigurationError) {
    // The specification: a relative path there is invalid and is to be ignored.
    if let base = environment("XDG_STATE_HOME"), base.hasPrefix("/") {
      path = base + "/sluice"
    } else if let home = environment("HOME"), home.hasPrefix("/") {
      path = home + "/.local/state/sluice"
    } else {
      throw ConfigurationError(.noStateDirectory)
    }
  }

  /// The data folder of the embedded broker.
  package var broker: String { path + "/broker" }
  package var jobs: String { path + "/jobs" }
  /// Where processes put what does not fit into memory: nothing that outlives them.
  package var local: String { path + "/local" }
  /// The checkpoint folder of a job that names none: batch numbers and times go on from run to run in any case.
  package func checkpoint(of job: String) -> String { "\(path)/checkpoints/\(JobLock.fileName(job))" }
}

/// The lock that keeps two live jobs of one name apart.
///
/// There are two files a name. The job itself holds `NAME.lock` while it lives; `sluice submit` holds
/// `NAME.submit.lock` over all restarts, also in the pause between two, when no job is alive. So a job under `submit`
/// does not stand in its own way, and one whose `submit` was killed still keeps others out.
package enum JobLock {
  package enum Holder: Sendable { case job, submit }

  /// Takes the lock; throws `FileError` with `.locked(by:)` and the holder's text, which names its pid.
  package static func take(
    _ name: String, as holder: Holder, pid: Int32, in state: StateDirectory, files: any FileStore
  ) throws(FileError) -> any FileLock {
    try files.createDirectories(state.jobs)
    return try files.lock(path(name, holder, state), holder: "the job \(name), pid \(pid)")
  }

  /// Whoever has the lock now; nil where nobody has it. Taking it to find out would refuse a job that starts meanwhile.
  package static func current(
    _ name: String, _ holder: Holder, in state: StateDirectory, files: any FileStore
  ) throws(FileError) -> String? {
    try files.lockHolder(path(name, holder, state))
  }

  /// The pid in the text of a holder; nil where it names none.
  package static func pid(inHolder text: String) -> Int? {
    let words = text.split { !$0.isNumber && !$0.isLetter }
    guard let index = words.lastIndex(of: "pid"), index + 1 < words.count else { return nil }
    return Int(words[index + 1])
  }

  private static func path(_ name: String, _ holder: Holder, _ state: StateDirectory) -> String {
    "\(state.jobs)/\(fileName(name))\(holder == .job ? ".lock" : ".submit.lock")"
  }

  /// The name with everything but letters, digits, `-`, `_` and `.` written as `%XX`, so that two names never share a
  /// file and none leaves the folder.
  static func fileName(_ name: String) -> String {
    var text = ""
    for byte in name.utf8 {
      let isPlain =
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45 || byte == 95
        || (byte == 46 && !text.isEmpty)
      if isPlain {
        text.append(Character(Unicode.Scalar(byte)))
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        text += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return text
  }
}
