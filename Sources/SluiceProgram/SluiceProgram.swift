import SluiceCommand

/// The program `sluice`. Its commands stand in a library, so that tests can be linked with them.
@main struct SluiceProgram {
  static func main() { SluiceCommand.main() }
}
