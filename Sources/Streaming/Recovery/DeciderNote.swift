import Datasets
import Groundwork

/// What the commit log keeps about the decider: which it was, and the last batch it decided. A batch without
/// records is decided by the commit log alone, so the two may lie apart; but a decider that knows less than this was put
/// back, or is another one.
struct DeciderNote: Equatable {
  static let key = "decider"

  /// The decider's name.
  var decider: String
  /// The last batch it decided.
  var batch: BatchNumber

  init(decider: String, batch: BatchNumber) {
    self.decider = decider
    self.batch = batch
  }

  /// Reads what a record says; nil where no decider has decided yet.
  init?(_ record: BatchRecord?) {
    guard let text = record?.note(DeciderNote.key), let space = text.firstIndex(of: " "),
      let number = Int64(text[..<space])
    else { return nil }
    self.init(decider: String(text[text.index(after: space)...]), batch: BatchNumber(number))
  }

  /// The notes with this one among them, sorted by key.
  func added(to notes: [BatchNote]) -> [BatchNote] {
    (notes + [BatchNote(key: DeciderNote.key, text: "\(batch) \(decider)")]).sorted { $0.key < $1.key }
  }

  /// The notes of a batch that the commit log decides: with what the record before says of the decider.
  static func carried(from record: BatchRecord?, into notes: [BatchNote]) -> [BatchNote] {
    DeciderNote(record)?.added(to: notes) ?? notes.sorted { $0.key < $1.key }
  }
}
