import Sluice

/// Keeps a session for each user who is active, and gives it away when nothing has come for a while.
@main struct StatefulSessions: StreamingJob {
  static let summary = "Brings the actions of each user together into sessions, and writes those that are over."
  static let options: [OptionSpec] = [
    .value("input", "TOPIC", "topic of lines user,action or user,action,milliseconds since 1970", default: "actions"),
    .value("output", "TOPIC", "topic for sessions: key = user, value = actions,first,last", default: "sessions"),
    .value("timeout", "TIME", "without an action for so long a session is over", default: "30m", format: .duration),
  ]

  func define(_ context: StreamingContext, _ options: Options) throws {
    let actions = context.topicStream(try options.required("input")).mapPartitions { records, task in
      records.compactMap { record -> (Bytes, Timestamp)? in
        let columns = Array(record.value.split(separator: ",", omittingEmptySubsequences: false))
        let hasTime = columns.count == 3
        guard hasTime || columns.count == 2, !columns[0].isEmpty,
          let time = hasTime ? Int64(columns[2]) : record.timestamp.milliseconds
        else {
          task.count("malformed")
          return nil
        }
        return (columns[0], Timestamp(milliseconds: time))
      }
    }

    // Called for each action, and once more without one for a user whose time is up.
    let spec = StateSpec.function {
      (_: Timestamp, user: Bytes, action: Timestamp?, state: State<Session>) -> FinishedSession? in
      var session = state.get() ?? Session()
      guard let action else { return FinishedSession(user: user, session: session) }
      session.add(action)
      state.update(session)
      return nil
    }
    // The name is how a restart finds the state, whatever else has changed in the job.
    let finished = actions.mapWithState(spec.timeout(try options.duration("timeout")!)).named("sessions")
    finished.saveToTopic(try options.required("output")) { $0.record }
    finished.foreachRDD { batch in for session in try batch.collect() { context.print(session.text) } }
  }
}
