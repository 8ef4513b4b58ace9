import Groundwork

/// How elements become the content of a file: text, JSON lines or CSV.
///
/// Made where the job is defined, in inlinable code, so that the closure is compiled into the loop over the elements.
public struct FileFormat<Element>: Sendable {
  /// Appends elements to a buffer.
  public typealias Encode = @Sendable (UnsafeBufferPointer<Element>, inout ByteWriter) throws -> Void
  /// The end of the files' names, with its dot: `.txt`; that of the compression comes behind it.
  public var fileExtension: String
  /// What every file begins with: the header line of a CSV file; empty for nothing.
  public var header: Bytes
  @usableFromInline let encode: Encode

  /// A format of one's own.
  /// - Parameters:
  ///   - fileExtension: the end of the files' names, with its dot.
  ///   - header: what every file begins with.
  ///   - encode: appends elements; called with about 1,024 at a time. What it appends can be read by itself.
  @inlinable public init(fileExtension: String, header: Bytes = Bytes(), encode: @escaping Encode) {
    self.fileExtension = fileExtension
    self.header = header
    self.encode = encode
  }

  /// Lines of text; files end in `.txt`.
  /// - Parameter line: appends an element's text, without the line feed.
  @inlinable public static func text(
    _ line: @escaping @Sendable (Element, inout ByteWriter) throws -> Void
  ) -> FileFormat {
    FileFormat(fileExtension: ".txt", encode: FileEncoding.lines(line))
  }

  /// Lines of text: an element's line is its description; `Bytes` as they are.
  @inlinable public static var text: FileFormat {
    FileFormat(fileExtension: ".txt", encode: FileEncoding.lines(FileEncoding.describe))
  }

  /// An object of JSON a line (jsonlines.org); files end in `.json`, as Spark's do.
  /// - Parameter object: sets the object's members.
  @inlinable public static func jsonLines(
    _ object: @escaping @Sendable (Element, inout JSONObject) throws -> Void
  ) -> FileFormat {
    FileFormat(fileExtension: ".json") { view, writer in
      for index in 0..<view.count {
        try withUnsafeMutablePointer(to: &writer) { pointer in
          var row = JSONObject(pointer)
          try object(view[index], &row)
          row.finish()
        }
        writer.append(UInt8(ascii: "\n"))
      }
    }
  }

  /// Comma-separated values (RFC 4180): lines end in CR LF, fields are quoted where they need it; files end in `.csv`.
  /// - Parameters:
  ///   - header: the names of the columns, the first line of every file; empty for none.
  ///   - separator: what stands between fields, an ASCII character.
  ///   - row: appends an element's fields.
  @inlinable public static func csv(
    header: [String] = [], separator: Unicode.Scalar = ",",
    _ row: @escaping @Sendable (Element, inout CSVRow) throws -> Void
  ) -> FileFormat {
    let separator = UInt8(truncatingIfNeeded: separator.value)
    return FileFormat(fileExtension: ".csv", header: headerLine(header, separator)) { view, writer in
      for index in 0..<view.count {
        try withUnsafeMutablePointer(to: &writer) { pointer in
          var fields = CSVRow(pointer, separator: separator)
          try row(view[index], &fields)
        }
        writer.append(UInt8(ascii: "\r"))
        writer.append(UInt8(ascii: "\n"))
      }
    }
  }

  @usableFromInline static func headerLine(_ fields: [String], _ separator: UInt8) -> Bytes {
    fields.isEmpty ? Bytes() : CSVRow.line(fields, separator: separator)
  }
}
