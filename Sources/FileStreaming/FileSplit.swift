/// A part of a file that one task reads.
struct FileSplit: Sendable, Equatable {
  var file: InputFile
  /// Bytes of the file.
  var range: Range<Int64>

  /// The largest split where nobody asks for more of them: the block size that Hadoop takes local files to have.
  static let sizeMax: Int64 = 32 << 20

  /// Cuts files into splits, as Hadoop does (FileInputFormat.getSplits): parts of one size, of which there are about
  /// `minCount` over all files, none larger than `sizeMax`; a last part of up to a tenth more is not cut again. Empty
  /// files are a split each.
  /// - Parameters:
  ///   - minCount: how many splits there should be at least; fewer where files are too small.
  ///   - unit: splits are cut at multiples of so many bytes.
  ///   - isSplittable: whether a file may be read from its middle.
  static func cut(
    _ files: [InputFile], minCount: Int, unit: Int64 = 1, sizeMax: Int64 = FileSplit.sizeMax,
    isSplittable: (InputFile) -> Bool
  ) -> [FileSplit] {
    let total = files.reduce(0) { $0 + $1.size }
    let goal = max(1, min(sizeMax, total / Int64(max(1, minCount))))
    let size = (goal + unit - 1) / unit * unit
    var splits: [FileSplit] = []
    for file in files {
      guard isSplittable(file) else {
        splits.append(FileSplit(file: file, range: 0..<file.size))
        continue
      }
      var start: Int64 = 0
      while (file.size - start) * 10 > size * 11 {
        splits.append(FileSplit(file: file, range: start..<start + size))
        start += size
      }
      if start < file.size || file.size == 0 { splits.append(FileSplit(file: file, range: start..<file.size)) }
    }
    return splits
  }

  /// Groups whole files, in order, into about `minCount` groups of similar size, at most one a file.
  static func group(_ files: [InputFile], minCount: Int) -> [[InputFile]] {
    let total = files.reduce(0) { $0 + $1.size }
    let goal = max(1, total / Int64(max(1, minCount)))
    var groups: [[InputFile]] = []
    var size = goal
    for file in files {
      if size >= goal {
        groups.append([])
        size = 0
      }
      groups[groups.count - 1].append(file)
      size += file.size
    }
    return groups
  }
}
