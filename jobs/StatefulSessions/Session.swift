import Sluice

/// What is known of a user's session while it lasts.
///
/// As state it outlives the program that wrote it. A field is added at the end: written last, and read only where bytes
/// are left, so that sessions written before it get a default:
///
///     purchases = reader.remaining > 0 ? try Int.decode(from: &reader) : 0
///
/// For any other change the version is raised and the old type migrated: see `StateSpec.migrating`.
struct Session: StreamCodable {
  var actions = 0
  /// Milliseconds since 1970 of the earliest and the latest action, in whatever order they came.
  var first = Int64.max
  var last = Int64.min

  mutating func add(_ time: Timestamp) {
    actions += 1
    first = min(first, time.milliseconds)
    last = max(last, time.milliseconds)
  }

  func encode(to writer: inout ByteWriter) {
    actions.encode(to: &writer)
    first.encode(to: &writer)
    last.encode(to: &writer)
  }

  static func decode(from reader: inout StreamReader) throws(StreamDecodingError) -> Session {
    Session(
      actions: try Int.decode(from: &reader), first: try Int64.decode(from: &reader),
      last: try Int64.decode(from: &reader))
  }
}

/// A session that is over.
struct FinishedSession: Sendable {
  var user: Bytes
  var session: Session

  var text: String {
    "\(user): \(session.actions) actions from \(Timestamp(milliseconds: session.first)) "
      + "to \(Timestamp(milliseconds: session.last))"
  }
  /// `actions,first,last`, keyed by the user.
  var record: ProducerRecord {
    ProducerRecord(key: user, value: "\(session.actions),\(session.first),\(session.last)")
  }
}
