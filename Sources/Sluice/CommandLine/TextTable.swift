/// A table in aligned columns of plain text.
public struct TextTable: Sendable {
  /// Which side of its column a text stands at, its title included.
  public enum Alignment: Sendable { case left, right }

  private var columns: [(title: String, alignment: Alignment)]
  private var rows: [[String]] = []

  /// A table without rows; the columns from left to right.
  public init(_ columns: [(title: String, alignment: Alignment)]) { self.columns = columns }

  /// Adds a row; missing cells are empty, further ones are dropped.
  public mutating func add(_ cells: [String]) {
    rows.append(columns.indices.map { $0 < cells.count ? cells[$0] : "" })
  }

  /// A line of titles, then a line a row, each ended by a line feed; two spaces between columns, none at the end.
  public var text: String {
    let all = [columns.map(\.title)] + rows
    let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    var text = ""
    for row in all {
      var line = ""
      for column in columns.indices {
        if column > 0 { line += "  " }
        let padding = String(repeating: " ", count: widths[column] - row[column].count)
        line += columns[column].alignment == .right ? padding + row[column] : row[column] + padding
      }
      while line.last == " " { line.removeLast() }
      text += line + "\n"
    }
    return text
  }
}
