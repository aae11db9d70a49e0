/**
 * What an administrator asks of the groups of one shard: requests and answers in the form of each API's newest version.
 *
 * Source: apache/kafka GroupCoordinatorService.listGroups, describeGroups, deleteGroups; KIP-518, KIP-1043.
 */

import type { deleteGroups, describeGroups, listGroups } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import type { GroupCoordinator } from "./GroupCoordinator.ts"
import { NO_BYTES } from "./group-events.ts"
import type { Answer, GroupCaller } from "./member-requests.ts"
import { metadataOf } from "./Roster.ts"

/** The one type of groups that there is. */
const TYPE = "Classic"
/** From this version on a group that is not there is an error. */
const NOT_FOUND_FROM = 6
/** Of a group's id in a message: with more of it that may be no text of the protocol. */
const NAMED_CHARACTERS_MAX = 200

type DescribedGroup = ElementOf<ResponseOf<typeof describeGroups>, "groups">

export function describeOf(
  coordinator: GroupCoordinator,
  caller: GroupCaller,
  { groups }: RequestOf<typeof describeGroups>,
  done: Answer<ResponseOf<typeof describeGroups>>
): void {
  done({ groups: groups.map((id) => described(coordinator, caller, id)) })
}

function described(coordinator: GroupCoordinator, { tenant, version }: GroupCaller, groupId: string): DescribedGroup {
  const group = coordinator.find({ tenant, id: groupId })
  if (group === undefined) {
    const isError = version >= NOT_FOUND_FROM
    const errorMessage = isError ? `Group ${groupId.slice(0, NAMED_CHARACTERS_MAX)} not found.` : null
    const errorCode = isError ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.NONE
    return { errorCode, errorMessage, groupId, groupState: "Dead", protocolType: "", protocolData: "", members: [] }
  }
  const { machine } = group
  const protocolName = machine.protocolName ?? ""
  // What members said and got means something together with the protocol that they agreed on.
  const isStable = machine.state === "Stable"
  const members = Array.from(machine.members(), (member) => ({
    memberId: member.id,
    groupInstanceId: member.instanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    memberMetadata: isStable ? metadataOf(member, protocolName) : NO_BYTES,
    memberAssignment: isStable ? member.assignment : NO_BYTES
  }))
  return {
    errorCode: ErrorCode.NONE,
    groupId,
    groupState: machine.state,
    protocolType: machine.protocolType ?? "",
    protocolData: isStable ? protocolName : "",
    members
  }
}

export function listOf(
  coordinator: GroupCoordinator,
  { tenant }: GroupCaller,
  { statesFilter, typesFilter }: RequestOf<typeof listGroups>,
  done: Answer<ResponseOf<typeof listGroups>>
): void {
  const states = new Set(statesFilter.map((state) => state.toLowerCase()))
  const types = new Set(typesFilter.map((type) => type.toLowerCase()))
  const isOfType = types.size === 0 || types.has(TYPE.toLowerCase())
  const groups: Array<ElementOf<ResponseOf<typeof listGroups>, "groups">> = []
  for (const { name, machine } of isOfType ? coordinator.all() : []) {
    if (name.tenant !== tenant || (states.size > 0 && !states.has(machine.state.toLowerCase()))) continue
    const { state: groupState, protocolType } = machine
    groups.push({ groupId: name.id, protocolType: protocolType ?? "", groupState, groupType: TYPE })
  }
  done({ errorCode: ErrorCode.NONE, groups })
}

export function deleteOf(
  coordinator: GroupCoordinator,
  { tenant }: GroupCaller,
  { groupsNames }: RequestOf<typeof deleteGroups>,
  done: Answer<ResponseOf<typeof deleteGroups>>
): void {
  const results: Array<{ readonly groupId: string; errorCode: number }> = []
  let open = 1
  const closed = (): void => {
    open -= 1
    if (open === 0) done({ throttleTimeMs: 0, results })
  }
  for (const groupId of new Set(groupsNames)) {
    const result = { groupId, errorCode: ErrorCode.NONE as number }
    results.push(result)
    const group = coordinator.find({ tenant, id: groupId })
    if (group === undefined) result.errorCode = ErrorCode.GROUP_ID_NOT_FOUND
    else if (group.machine.state !== "Empty") result.errorCode = ErrorCode.NON_EMPTY_GROUP
    else {
      open += 1
      coordinator.delete(group, (outcome) => {
        if (outcome !== 0) result.errorCode = ErrorCode.COORDINATOR_NOT_AVAILABLE
        closed()
      })
    }
  }
  closed()
}
