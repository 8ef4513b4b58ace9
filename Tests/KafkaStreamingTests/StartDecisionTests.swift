import Groundwork
import KafkaStreaming
import Streaming
import Testing

@testable import KafkaStreaming

/// How the setting says whose offsets stand.
@Suite struct OffsetAuthorityTests {
  @Test func theSettingsWords() {
    #expect(OffsetAuthority(text: "checkpoint") == .log)
    #expect(OffsetAuthority(text: "log") == .log)
    #expect(OffsetAuthority(text: "group") == .group)
    #expect(OffsetAuthority(text: "me") == nil)
  }
}

/// Where a partition begins, and where it goes on when records are gone: pure decisions, all of them.
@Suite struct StartDecisionTests {
  private let places: [Offset?] = [nil, 10, 20, 30]

  /// Every combination beside the rules, written down once more in another way.
  @Test func everyCombination() {
    var seen: Set<String> = []
    var problems: [String] = []
    for logged in places {
      for committed in places {
        for isTopicKnown in [false, true] {
          for authority in [OffsetAuthority.log, .group] {
            let decision = StartDecision(
              logged: logged, committed: committed, isTopicKnown: isTopicKnown, authority: authority)
            let what = "log \(logged?.description ?? "-") group \(committed?.description ?? "-") \(authority)"
            seen.insert("\(decision)".split(separator: "(").first.map(String.init) ?? "")
            // The job goes on from the log unless nobody has one, or the group was reset and is to be followed.
            let expected: Offset? =
              if let logged {
                committed == nil || committed == logged
                  ? logged : authority == .group ? committed : committed! < logged ? logged : nil
              } else {
                committed
              }
            if decision.offset != expected { problems.append("\(what): \(decision)") }
            let isConflict = authority == .log && logged != nil && committed != nil && committed! > logged!
            if case .conflict(let log, let group) = decision {
              if !isConflict || log != logged || group != committed { problems.append("\(what): \(decision)") }
            } else if isConflict {
              problems.append("\(what): no conflict")
            }
            if logged == nil, committed == nil, (decision == .foundSince) != isTopicKnown {
              problems.append("\(what): \(decision)")
            }
            // Whatever departs from a plain continuation is said.
            let isSilent = decision.note(TopicPartition("t", 0), group: "g") == nil
            let mayBeSilent =
              logged == committed && !(logged == nil && isTopicKnown) || logged == nil && committed != nil
            if isSilent != (mayBeSilent || isConflict) { problems.append("\(what): silent \(isSilent)") }
          }
        }
      }
    }
    #expect(
      StartDecision(logged: 10, committed: 20, isTopicKnown: true, authority: .log, isLogDurable: false)
        == .logAhead(10, group: 20))
    #expect(problems.isEmpty, "\(problems)")
    #expect(
      seen == [
        "policy", "foundSince", "group", "agreed", "logAlone", "logAhead", "groupReset", "conflict",
      ])
  }

  @Test func aConflictNamesBothValues() {
    let error = OffsetsInConflict(partition: TopicPartition("in", 3), log: 40, committed: 90, group: "job")
    #expect(
      error.description
        == "group job has offset 90 of in-3, but the last batch in the job's log ended at 40: the group was reset from "
        + "outside, or the log is not this job's; start with --offsets-from group to follow the group, or reset the group "
        + "to 40")
  }

  @Test func everyLoss() {
    let partition = TopicPartition("in", 0)
    var problems: [String] = []
    for policy in DataLossPolicy.allCases {
      for next in [Offset(5), 10, 15, 20, 25] {
        for isRecreated in [false, true] {
          for isFenced in [false, true] {
            let decision = DataLossDecision(
              partition, next: next, start: 10, end: 20, isRecreated: isRecreated, isFenced: isFenced, policy: policy)
            let isThere = (10...20).contains(next.rawValue) && !isRecreated && !isFenced
            let reason: GapReason =
              isRecreated ? .recreated : next < 10 ? .retention : .truncated
            let expected: DataLossDecision =
              isThere
              ? .goOn
              : policy == .fail
                ? .fail(reason)
                : .moved(Gap(partition, from: next, until: policy == .earliest ? 10 : 20, reason: reason))
            if decision != expected { problems.append("\(policy) \(next) \(isRecreated) \(isFenced): \(decision)") }
          }
        }
      }
    }
    #expect(problems.isEmpty, "\(problems)")
  }

  @Test func gapsAreText() {
    for reason in GapReason.allCases {
      let gap = Gap(TopicPartition("a-b.c", 12), from: 10, until: 40, reason: reason)
      #expect(Gap(text: gap.text) == gap)
      #expect(Gap(text: "batch=7 time=1000 " + gap.text) == gap)
    }
    let gap = Gap(TopicPartition("in", 0), from: 10, until: 4, reason: .truncated)
    #expect(gap.text == "partition=in-0 from=10 until=4 reason=truncated" && gap.offsetsLost == 0)
    for text in ["", "partition=in from=1 until=2 reason=retention", "partition=in-0 from=1 until=2 reason=moths"] {
      #expect(Gap(text: text) == nil)
    }
  }

  @Test func detailsOfAPlanAreText() {
    var details = PlanDetails()
    details.topicIDs = ["in": "qvPsJ1sZQ7KtY1V0xMKwcA", "a-b": "AAAAAAAAAAAAAAAAAAAAAA"]
    details.epochs = [TopicPartition("in", 0): 0, TopicPartition("in", 1): 7]
    details.gaps = [Gap(TopicPartition("in", 1), from: 3, until: 9, reason: .retention)]
    #expect(
      details.lines == [
        "topic a-b AAAAAAAAAAAAAAAAAAAAAA", "topic in qvPsJ1sZQ7KtY1V0xMKwcA", "epoch in-1 7",
        "gap partition=in-1 from=3 until=9 reason=retention",
      ])
    let read = PlanDetails(details.lines + ["something else", "topic", "epoch in 7"])
    #expect(
      read.topicIDs == details.topicIDs && read.gaps == details.gaps && read.epochs == [TopicPartition("in", 1): 7])
  }

  @Test func selectionsAreText() {
    #expect(OffsetSelection(text: "earliest") == .earliest)
    #expect(OffsetSelection(text: "latest") == .latest)
    #expect(OffsetSelection(text: "@1500") == .timestamp(1500))
    #expect(
      OffsetSelection(text: "a-b-0:12,a-b-1:latest,c-0:@9,others:latest")
        == OffsetSelection(
          [
            TopicPartition("a-b", 0): .offset(12), TopicPartition("a-b", 1): .latest,
            TopicPartition("c", 0): .timestamp(9),
          ], others: .latest))
    #expect(OffsetSelection(text: "a-0:3") == .offsets([TopicPartition("a", 0): 3]))
    for text in ["", "newest", "12", "others:latest", "a:3", "a-0", "a-0:-3", "a-0:x", "a-0:1,a-0:2", "@x"] {
      #expect(OffsetSelection(text: text) == nil || text == "12", "\(text)")
    }
  }

  @Test func patternsMatchWholeNames() {
    let names = ["orders", "orders-eu", "my-orders", "__consumer_offsets"]
    #expect(TopicSubscription.matches("orders.*", names) == ["orders", "orders-eu"])
    #expect(TopicSubscription.matches("orders", names) == ["orders"])
    #expect(TopicSubscription.matches(".*-(eu|us)", names) == ["orders-eu"])
    let error = #expect(throws: StreamingError.self) { try TopicSubscription.pattern("(").check() }
    #expect(error?.description.hasPrefix("topicStream: `(` is no regular expression") == true)
  }
}
