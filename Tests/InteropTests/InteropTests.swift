import Testing

/// What is real is tested for real: third-party clients, processes, `kill -9`, a full disk; all on loopback.
///
/// Each test uses both cores, so they run one after the other; every wait has a deadline, every process is ended by its
/// own id.
@Suite(.serialized) struct InteropTests {}
