import Datasets
import SystemInterfaces

/// The files that the datasets of a context are read from and written to.
package final class AttachedFiles: Sendable {
  /// Where paths lead.
  package let files: any FileStore

  package init(_ files: any FileStore) { self.files = files }
}
