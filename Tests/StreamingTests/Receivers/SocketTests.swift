import Datasets
import Groundwork
import Simulation
import SystemInterfaces
import Testing

@testable import Streaming

/// Streams from sockets, in simulation.
@Suite struct SocketTests {
  @Test func linesOfAServer() throws {
    let harness = try StreamHarness()
    let server = try SimulatedServer(harness.simulation) { _ in "hello\nwor" }
    let results = Cell<[[Bytes]]>([])
    harness.context.socketTextStream("server", 9999).record(into: results)
    try harness.start()
    try harness.advance(1)
    server.send("ld\r\n\n日本\n")
    try harness.advance(1)
    server.send("last")
    try harness.advance(1)
    server.hangUp()
    try harness.advance(2)
    try harness.stop()
    let lines = results.value.flatMap { $0 }.map { String($0) }
    // Connected again after the end, it was greeted again.
    #expect(lines == ["hello", "world", "", "日本", "last", "hello"])
    #expect(harness.end == ["ended"])
  }

  @Test func aServerThatComesLaterIsFound() throws {
    let harness = try StreamHarness()
    let results = Cell<[[Bytes]]>([])
    let recorder = ReceiverRecorder()
    harness.context.addStreamingListener(recorder)
    harness.context.socketTextStream("server", 9999).record(into: results)
    try harness.start()
    try harness.advance(5)
    #expect(recorder.events.value.contains { $0.hasPrefix("error waiting: no connection to server:9999") })
    let server = try SimulatedServer(harness.simulation) { _ in "here\n" }
    try harness.advance(10)
    #expect(server.connections == 1)
    try harness.stop()
    #expect(results.value.flatMap { $0 } == ["here"])
  }

  /// Lines are lost with connections, as of a socket they must be; but none is torn, doubled or out of order.
  @Test func connectionsThatAreCut() throws {
    var wrong: [String] = []
    var cuts = 0
    for seed in UInt64(1)...25 {
      let harness = try StreamHarness(seed: seed)
      harness.simulation.network.conditions.splitProbability = 0.3
      harness.simulation.network.conditions.cutProbability = 0.02
      let server = try SimulatedServer(harness.simulation)
      let results = Cell<[[Bytes]]>([])
      harness.context.socketTextStream("server", 9999).record(into: results)
      try harness.start()
      let sent = Cell(0)
      for _ in 0..<400 {
        let number = sent.value
        sent.value += 1
        server.send("line number \(number) of seed \(seed)\n")
        try harness.simulation.run(for: .milliseconds(50))
      }
      harness.simulation.network.conditions = NetworkConditions()
      try harness.advance(2)
      try harness.stop()
      cuts += harness.simulation.network.connectionsCut
      let lines = results.value.flatMap { $0 }.map { String($0) }
      let numbers = lines.map { line -> Int in
        let words = line.split(separator: " ")
        guard words.count == 6, words[5] == "\(seed)", let number = Int(words[2]) else { return -1 }
        return number
      }
      if numbers.contains(-1) { wrong.append("seed \(seed): torn lines in \(lines)") }
      if numbers != Array(Set(numbers)).sorted() { wrong.append("seed \(seed): \(numbers)") }
      if numbers.count < 100 { wrong.append("seed \(seed): only \(numbers.count) lines") }
    }
    #expect(wrong == [])
    #expect(cuts > 20)
  }

  @Test func aConverterOfYourOwn() throws {
    /// Sums of pairs of bytes.
    struct Pairs: SocketConverter {
      var rest: UInt8?
      mutating func received(_ bytes: Bytes) throws -> [Int] {
        var sums: [Int] = []
        for byte in bytes {
          if let first = rest {
            sums.append(Int(first) + Int(byte))
            rest = nil
          } else {
            rest = byte
          }
        }
        return sums
      }
      mutating func ended() -> [Int] { rest.map { [Int($0)] } ?? [] }
    }
    let harness = try StreamHarness()
    let server = try SimulatedServer(harness.simulation)
    harness.simulation.network.conditions.splitProbability = 1
    let results = Cell<[[Int]]>([])
    harness.context.socketStream("server", 9999) { Pairs() }.record(into: results)
    try harness.start()
    try harness.advance()
    server.send(Bytes([1, 2, 3, 4, 5]))
    try harness.advance()
    server.hangUp()
    try harness.advance()
    try harness.stop()
    #expect(results.value.flatMap { $0 } == [3, 7, 5])
  }

  @Test func framesOfElements() throws {
    let harness = try StreamHarness()
    let server = try SimulatedServer(harness.simulation)
    let results = Cell<[[[String]]]>([])
    harness.context.rawSocketStream("server", 9999, of: String.self).foreachRDD {
      results.value.append(try $0.glom().collect())
    }
    try harness.start()
    try harness.advance()
    func frame(_ elements: [String]) -> Bytes {
      var body = ByteWriter()
      for element in elements { element.encode(to: &body) }
      var frame = ByteWriter()
      frame.append(bigEndian: UInt32(body.count))
      frame.append(body.finish())
      return frame.finish()
    }
    server.send(frame(["a", "b"]))
    server.send(frame(["c"]))
    try harness.advance()
    // What is no element closes the connection, and it is made anew.
    var bad = ByteWriter()
    bad.append(bigEndian: UInt32(1))
    bad.append(UInt8(0xFF))
    server.send(bad.finish())
    try harness.advance()
    #expect(server.accepted.value == 2)
    server.send(frame(["d"]))
    try harness.advance()
    try harness.stop()
    #expect(results.value.filter { $0 != [[]] } == [[["a", "b"], ["c"]], [["d"]]])
    #expect(harness.log.contains { $0.contains("sent what cannot be read") })
  }

  /// A receiver at its rate reads no further, so that the sender is held back.
  @Test func aSenderIsHeldBack() throws {
    let harness = try StreamHarness(settings: ["sluice.streaming.receiver.maxRate": "1000"])
    let server = try SimulatedServer(harness.simulation)
    let results = Cell<[[Bytes]]>([])
    harness.context.socketTextStream("server", 9999).record(into: results)
    try harness.start()
    try harness.advance()
    let line = String(repeating: "x", count: 99) + "\n"
    for _ in 0..<100 { server.send(String(repeating: line, count: 200)) }
    try harness.advance(3)
    let early = results.value.reduce(0) { $0 + $1.count }
    #expect((1500...3500).contains(early), "\(early)")
    // 256 KiB may be under way, a piece of it in the stream; the rest stands at the server.
    try harness.advance(20)
    #expect(results.value.reduce(0) { $0 + $1.count } == 20_000)
    #expect(results.value.map(\.count).max()! <= 1401, "\(results.value.map(\.count))")
    try harness.stop()
  }
}
