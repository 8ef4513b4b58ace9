import Datasets
import Groundwork
import KafkaClients
import KafkaProtocol
import Streaming
import SystemInterfaces

// Where the stream begins, what joins in later, and where it goes on when records are gone.
extension KafkaSource {
  var finder: PositionFinder {
    PositionFinder(
      client: connection.client, subscription: subscription, group: group, settings: settings, restored: restored)
  }

  func restore(_ last: SourcePlan) { restored = RestoredPositions(last) }

  func start(_ environment: SourceEnvironment, ready: @escaping @Sendable (Result<Void, any Error>) -> Void) {
    self.environment = environment
    let finder = finder
    let driver = connection.driverLoop
    connection.client.loop.post { [self] in
      finder.find { [self] result in
        driver.post { [self] in
          do {
            try begin(at: result.get())
            ready(.success(()))
          } catch {
            ready(.failure(error))
          }
        }
      }
    }
  }

  private func begin(at found: FoundPositions) throws {
    try claims.claim(found.next.keys.sorted(), for: ObjectIdentifier(self))
    for note in found.notes { environment?.log(note) }
    if found.next.isEmpty { environment?.log("\(name): there is no such topic yet; it is read when it comes") }
    topicIDs = found.topicIDs
    carriedBatch = found.decided
    for (partition, offset) in found.next {
      var position = Position(next: offset, committed: offset)
      position.leaderEpoch = restored?.details.epochs[partition] ?? -1
      position.gap = found.gaps[partition]
      if found.committed[partition] == offset { position.committedAt = now }
      positions[partition] = position
    }
    partitions = found.next.keys.sorted()
    for partition in partitions { if let gap = found.gaps[partition] { tell(gap) } }
    let driver = connection.driverLoop
    let fetcher = Fetcher(connection.client, configuration: settings.fetching) { [environment] event in
      switch event {
      case .arrived: environment?.dataArrived()
      case .offsetOutOfRange(let partition, _): driver.post { [self] in lose([partition], isRecreated: false) }
      case .recreated: driver.post { [self] in discover() }
      case .failed(let partition, let error, let isStopped):
        if isStopped {
          environment?.fail(error)
        } else {
          environment?.log("\(partition) cannot be fetched at the moment, it is tried again: \(error)")
        }
      }
    }
    self.fetcher = fetcher
    fetcher.start(found.next)
    // What was decided at the start is the group's from now on: a restart before the first batch decides the same.
    commitStarts()
    every(settings.discoveryInterval) { $0.discover() }
    every(settings.recommitInterval * 0.5) { $0.commitIdle() }
  }

  private func every(_ interval: Duration, _ work: @escaping @Sendable (KafkaSource) -> Void) {
    let index = timers.count
    timers.append(
      connection.driverLoop.after(interval) { [weak self] in self?.again(index, interval, work) })
  }

  private func again(_ index: Int, _ interval: Duration, _ work: @escaping @Sendable (KafkaSource) -> Void) {
    guard !isStopped else { return }
    timers[index] = connection.driverLoop.after(interval) { [weak self] in self?.again(index, interval, work) }
    work(self)
  }

  /// Sends the fetcher to where the partition's position is. Until it is there, what is buffered is something else's.
  func seek(_ moved: [TopicPartition]) {
    guard let fetcher else { return }
    for partition in moved { positions[partition]?.isSettled = false }
    fetcher.start(
      Dictionary(
        uniqueKeysWithValues: moved.compactMap { partition in positions[partition].map { (partition, $0.next) } }))
    let driver = connection.driverLoop
    connection.client.loop.post { [self] in
      driver.post { [self] in for partition in moved { positions[partition]?.isSettled = true } }
    }
  }

  // MARK: What joins in

  /// Looks for partitions and topics that were not there before, and for topics that were made again.
  func discover() {
    guard !isDiscovering, !isLimited, !isStopped else { return }
    isDiscovering = true
    let finder = finder
    let driver = connection.driverLoop
    connection.client.loop.post { [self] in
      finder.partitions(isFresh: true) { [self] result in
        driver.post { [self] in
          isDiscovering = false
          switch result {
          case .failure(let error): environment?.log("\(name): looking for new partitions failed: \(error)")
          case .success(let (partitions, metadata)): discovered(partitions, metadata)
          }
        }
      }
    }
  }

  private func discovered(_ present: [TopicPartition], _ metadata: ClusterMetadata) {
    guard !isStopped, !isLimited else { return }
    for topic in Set(present.map(\.topic)).sorted() {
      guard let id = metadata.topics[topic]?.id, id != .zero else { continue }
      if let old = topicIDs[topic], old != id {
        let there = Set(present)
        let mine = partitions.filter { $0.topic == topic }
        lose(mine.filter { there.contains($0) }, isRecreated: true)
        drop(mine.filter { !there.contains($0) })
      }
      topicIDs[topic] = id
    }
    let new = present.filter { positions[$0] == nil }
    guard !new.isEmpty else { return }
    do { try claims.claim(new, for: ObjectIdentifier(self)) } catch {
      environment?.fail(error)
      return
    }
    let finder = finder
    let driver = connection.driverLoop
    connection.client.loop.post { [self] in
      finder.list(Dictionary(uniqueKeysWithValues: new.map { ($0, .earliest) })) { [self] result in
        driver.post { [self] in
          switch result {
          case .failure(let error): environment?.log("\(name): new partitions cannot be read yet: \(error)")
          case .success(let starts): join(starts)
          }
        }
      }
    }
  }

  private func join(_ starts: [TopicPartition: Offset]) {
    guard !isStopped, !isLimited else { return }
    let new = starts.keys.sorted().filter { positions[$0] == nil }
    guard !new.isEmpty else { return }
    for partition in new { positions[partition] = Position(next: starts[partition]!, committed: starts[partition]!) }
    partitions = positions.keys.sorted()
    environment?.log(
      "\(name): \(new.map(\.description).joined(separator: ", ")) came while the job ran: read from the first record")
    seek(new)
    commitStarts()
  }

  private func drop(_ gone: [TopicPartition]) {
    guard !gone.isEmpty else { return }
    if settings.onDataLoss == .fail {
      let partition = gone[0]
      environment?.fail(
        OffsetsLost(partition: partition, offset: positions[partition]!.next, reason: .recreated, group: group))
      return
    }
    for partition in gone {
      environment?.log("\(partition) is gone: its topic was made again with fewer partitions")
      positions[partition] = nil
    }
    partitions = positions.keys.sorted()
    fetcher?.stop(gone)
  }

  // MARK: Loss

  /// The fetcher can go no further in a partition. What it brought before that is still good, and is planned first.
  func lose(_ lost: [TopicPartition], isRecreated: Bool) {
    for partition in lost {
      guard let position = positions[partition], position.isSettled, position.loss == nil else { continue }
      let fetched = fetcher?.buffer.snapshot(of: partition)?.nextOffset ?? position.next
      positions[partition]!.loss = Position.Loss(at: max(fetched, position.next), isRecreated: isRecreated)
      settleLoss(partition)
    }
  }

  /// Once all that is there is planned: looks where to go on.
  func settleLoss(_ partition: TopicPartition) {
    guard let position = positions[partition], let loss = position.loss, !loss.isAsked, position.next >= loss.at else {
      return
    }
    positions[partition]!.loss!.isAsked = true
    let question = PositionFinder.LostPosition(
      partition: partition, next: position.next, isRecreated: loss.isRecreated)
    let finder = finder
    let driver = connection.driverLoop
    connection.client.loop.post { [self] in
      finder.decide([question]) { [self] result in
        driver.post { [self] in
          switch result {
          case .failure(let error): environment?.fail(error)
          case .success(let outcomes): goOn(partition, outcomes[partition])
          }
        }
      }
    }
  }

  private func goOn(_ partition: TopicPartition, _ outcome: PositionFinder.LossOutcome?) {
    guard let outcome, positions[partition] != nil, !isStopped else { return }
    guard outcome.gap != nil else {
      // It is there after all: leaders change. Not at once, so that brokers that disagree are not asked without end.
      connection.driverLoop.after(.milliseconds(200)) { [self] in
        guard positions[partition]?.loss != nil, !isStopped else { return }
        positions[partition]!.loss = nil
        seek([partition])
      }
      return
    }
    positions[partition]!.loss = nil
    if let gap = outcome.gap {
      positions[partition]!.next = outcome.next
      positions[partition]!.filter = AbortedFilter()
      positions[partition]!.leaderEpoch = -1
      positions[partition]!.gap = gap
      // Offsets of another log, or of one that was cut, say nothing about where this one ends.
      if isLimited, gap.reason != .retention { positions[partition]!.end = outcome.next }
      tell(gap)
    }
    seek([partition])
  }

  private func tell(_ gap: Gap) {
    let lost = gap.offsetsLost > 0 ? "up to \(gap.offsetsLost) records are lost" : "records may be lost"
    environment?.log(
      "\(gap.partition): \(lost) (\(gap.reason.rawValue)): going on from \(gap.until) in place of \(gap.from)")
  }

  /// Writes gaps down before the batch that has them runs.
  func keep(_ gaps: [Gap], _ batch: BatchIdentity) {
    guard !gaps.isEmpty, let checkpointDirectory else { return }
    do {
      try GapLedger.append(gaps, batch, directory: checkpointDirectory, files: connection.client.world.files)
    } catch {
      environment?.fail(error)
    }
  }
}
