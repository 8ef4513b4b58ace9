import Datasets
import Groundwork
import SystemInterfaces

extension StreamingContext {
  /// A stream of what a receiver of your own stores.
  ///
  /// Each `sluice.streaming.blockInterval` (200 ms) of received data is computed by one task. What was received and not
  /// computed is lost with the process, unless `sluice.streaming.receiver.writeAheadLog.enable` is set.
  /// - Parameters:
  ///   - receiver: started with the job.
  ///   - name: under which a restart finds what it has stored; unique in the job, `receiver-0` and so on where nil.
  public func receiverStream<R: Receiver>(_ receiver: R, name: String? = nil) -> DStream<R.Element>
  where R.Element: StreamCodable {
    stream(of: receiver, label: "receiver", name: name, coding: .canonical)
  }

  /// A stream of what a receiver stores, of elements that no write-ahead log can hold: they are not StreamCodable.
  /// - Parameters:
  ///   - receiver: started with the job.
  ///   - name: unique in the job.
  public func receiverStream<R: Receiver>(_ receiver: R, name: String? = nil) -> DStream<R.Element> {
    stream(of: receiver, label: "receiver", name: name, coding: nil)
  }

  /// A stream of the lines that a server sends: `nc -lk 9999` is one. Where the connection breaks it is made anew.
  /// - Parameters:
  ///   - host: the server's name or address.
  ///   - port: the server's port.
  public func socketTextStream(_ host: String, _ port: Int) -> DStream<Bytes> {
    socketStream(host, port, label: "socketText", framing: .stream, coding: .canonical) { LineConverter() }
  }

  /// A stream of what a converter makes of the bytes that a server sends.
  /// - Parameters:
  ///   - host: the server's name or address.
  ///   - port: the server's port.
  ///   - converter: makes the converter of a connection.
  public func socketStream<Converter: SocketConverter>(
    _ host: String, _ port: Int, converter: @escaping @Sendable () -> Converter
  ) -> DStream<Converter.Element> where Converter.Element: StreamCodable {
    socketStream(host, port, label: "socket", framing: .stream, coding: .canonical, converter)
  }

  /// As `socketStream`, of elements that no write-ahead log can hold.
  /// - Parameters:
  ///   - host: the server's name or address.
  ///   - port: the server's port.
  ///   - converter: makes the converter of a connection.
  public func socketStream<Converter: SocketConverter>(
    _ host: String, _ port: Int, converter: @escaping @Sendable () -> Converter
  ) -> DStream<Converter.Element> {
    socketStream(host, port, label: "socket", framing: .stream, coding: nil, converter)
  }

  /// A stream of elements that a server sends in their canonical encoding: frames of a 4-byte big-endian length and so
  /// many bytes, up to 64 MiB, each of which is one block and one task.
  /// - Parameters:
  ///   - host: the server's name or address.
  ///   - port: the server's port.
  ///   - type: the type of the elements.
  public func rawSocketStream<Element: StreamCodable>(
    _ host: String, _ port: Int, of type: Element.Type = Element.self
  ) -> DStream<Element> {
    socketStream(host, port, label: "rawSocket", framing: .lengthPrefixed(maximum: 64 << 20), coding: .canonical) {
      FrameConverter<Element>()
    }
  }

  private func socketStream<Converter: SocketConverter>(
    _ host: String, _ port: Int, label: String, framing: Framing, coding: ElementCoding<Converter.Element>?,
    _ converter: @escaping @Sendable () -> Converter
  ) -> DStream<Converter.Element> {
    if !(1...65_535).contains(port) {
      note(.invalidDefinition("\(label)Stream: \(port) is no port: choose 1 to 65535"))
    }
    let address = Address(host: host, port: port)
    let receiver = SocketReceiver(
      address, framing: framing, transport: environment.world.transport, helper: helperLoop(named: "receivers"),
      makeConverter: converter)
    return stream(of: receiver, label: label, name: "\(label)(\(address))", coding: coding)
  }

  private func stream<R: Receiver>(
    of receiver: R, label: String, name: String?, coding: ElementCoding<R.Element>?
  ) -> DStream<R.Element> {
    let streams = attachment(ReceiverStreams.self) { ReceiverStreams() }
    let id = streams.names.count
    // Names stand in lists of ranges and are folders.
    var unique = String((name ?? "receiver-\(id)").map { " ,/\n".contains($0) ? "_" : $0 })
    if streams.names.contains(unique) { unique += "-\(id)" }
    streams.names.append(unique)
    var settings = receiverSettings()
    if let directory = settings.logDirectory { settings.logDirectory = "\(directory)/\(unique)" }
    if settings.logDirectory != nil, coding == nil {
      note(
        .invalidDefinition(
          "\(unique): sluice.streaming.receiver.writeAheadLog.enable is set, but \(R.Element.self) is not "
            + "StreamCodable: make it so, or turn the log off"))
    }
    let helper = helperLoop(named: "receivers")
    let sourceName = unique
    let fixed = settings
    let clock = environment.world.clock
    let source = ReceiverSource<R.Element>(name: sourceName, self, helper, fixed) { reports in
      ReceiverSupervisor(
        receiver, streamID: id, name: sourceName, settings: fixed, coding: coding, helper: helper, reports: reports,
        now: clock.now)
    }
    return inputStream(source, label: label) { [sluice] _, plan in source.dataset(plan, sluice) }
  }

  private func receiverSettings() -> ReceiverSettings {
    func duration(_ key: String, _ usual: Duration) -> Duration {
      guard let text = setting(key) else { return usual }
      if let value = Duration(text: text), value >= .milliseconds(1) { return value }
      note(.invalidDefinition("\(key)=\(text) is not possible: choose 1ms or more, such as \(usual.text)"))
      return usual
    }
    var rate: Int?
    if let text = setting("sluice.streaming.receiver.maxRate") {
      rate = Int(text)
      if rate == nil { note(.invalidDefinition("sluice.streaming.receiver.maxRate=\(text) is no number of records")) }
    }
    var directory: String?
    if setting("sluice.streaming.receiver.writeAheadLog.enable") == "true" {
      directory = environment.checkpointDirectory.map { "\($0)/receivers" }
      if directory == nil {
        note(
          .invalidDefinition(
            "sluice.streaming.receiver.writeAheadLog.enable needs a checkpoint folder: set "
              + "sluice.streaming.checkpoint"))
      }
    }
    return ReceiverSettings(
      // A longer one than the batches' would leave batches without data.
      blockInterval: min(duration("sluice.streaming.blockInterval", .milliseconds(200)), batchInterval),
      maxRate: rate.flatMap { $0 > 0 ? $0 : nil },
      restartDelay: duration("sluice.streaming.receiverRestartDelay", .milliseconds(100)), logDirectory: directory)
  }
}

/// The names of the receiver streams of a context.
private final class ReceiverStreams {
  var names: [String] = []
}
