import Groundwork
import KafkaProtocol
import LogStorage

// DescribeGroups (15), versions 0 to 5; ListGroups (16), versions 0 to 4; DeleteGroups (42), versions 0 to 2.
// A group that has offsets but no members is Empty; one that nobody knows is Dead. Deleting takes the offsets, and
// needs a group without members.

extension BrokerState {
  func describeGroups(_ call: Call, _ request: DescribeGroupsRequest) {
    var response = DescribeGroupsResponse()
    response.groups = request.groups.map { name in
      var answer = DescribeGroupsResponse.DescribedGroup()
      answer.groupID = name
      guard let group = groups.groups[name] else {
        answer.groupState = offsets.offsets(of: name).isEmpty ? "Dead" : GroupMachine.Phase.empty.rawValue
        return answer
      }
      answer.groupState = group.phase.rawValue
      answer.protocolType = group.protocolType ?? ""
      answer.protocolData = group.phase == .stable ? group.protocolName ?? "" : ""
      answer.members = group.membersInOrder.map { member in
        var entry = DescribeGroupsResponse.DescribedGroup.DescribedGroupMember()
        entry.memberID = member.id
        entry.groupInstanceID = member.instanceID
        entry.clientID = member.clientID
        entry.clientHost = member.clientHost
        if group.phase == .stable {
          entry.memberMetadata = member.protocols.first { $0.name == group.protocolName }?.metadata ?? Bytes()
          entry.memberAssignment = member.assignment
        }
        return entry
      }
      return answer
    }
    call.answer(response)
  }

  func listGroups(_ call: Call, _ request: ListGroupsRequest) {
    var response = ListGroupsResponse()
    let names = Set(groups.groups.keys).union(offsets.groupNames).sorted()
    response.groups = names.compactMap { name in
      var entry = ListGroupsResponse.ListedGroup()
      entry.groupID = name
      entry.protocolType = groups.groups[name]?.protocolType ?? ""
      entry.groupState = (groups.groups[name]?.phase ?? .empty).rawValue
      let isWanted = request.statesFilter.isEmpty || request.statesFilter.contains(entry.groupState)
      return isWanted ? entry : nil
    }
    call.answer(response)
  }

  func deleteGroups(_ call: Call, _ request: DeleteGroupsRequest) {
    var response = DeleteGroupsResponse()
    response.results = request.groupsNames.map { name in
      var answer = DeleteGroupsResponse.DeletableGroupResult()
      answer.groupID = name
      if groups.groups[name].map({ !$0.members.isEmpty }) == true {
        answer.errorCode = .nonEmptyGroup
      } else if offsets.offsets(of: name).isEmpty {
        answer.errorCode = .groupIDNotFound
      } else {
        do throws(LogError) {
          try offsets.removeGroup(name)
        } catch {
          answer.errorCode = .coordinatorNotAvailable
          report(.warning, "group \(name) could not be removed: \(error)")
        }
      }
      return answer
    }
    call.answer(response)
  }
}
