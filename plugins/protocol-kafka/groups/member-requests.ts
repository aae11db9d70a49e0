/**
 * What members ask of their group, at the shard that owns it: requests and answers in the form of each API's newest version.
 *
 * Bytes of a request are borrowed until the call returns; what the group keeps of them is copied here.
 */

import type { heartbeat, joinGroup, leaveGroup, syncGroup } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf, ResponseOf } from "../wire/schema.ts"
import type { GroupCoordinator } from "./GroupCoordinator.ts"
import { type JoinAnswer, joinError, type SyncAnswer, syncError } from "./group-events.ts"
import type { OwnedGroup } from "./OwnedGroup.ts"

/** Who asks, and in which version. */
export interface GroupCaller {
  readonly tenant: number
  readonly version: number
  readonly clientId: string
  /** As Java writes an address. */
  readonly clientHost: string
  /** How long an offset is to be kept, ms, as OffsetCommit 2 to 4 may say; -1 = not said. */
  readonly retentionMs: number
}

export type Answer<Response> = (response: Response) => void

const MEMBER_ID_REQUIRED_FROM = 4
const SKIP_ASSIGNMENT_FROM = 9

export function joinOf(
  coordinator: GroupCoordinator,
  caller: GroupCaller,
  request: RequestOf<typeof joinGroup>,
  done: Answer<ResponseOf<typeof joinGroup>>
): void {
  const { groupId, memberId, sessionTimeoutMs, protocolType } = request
  const { group_session_timeout_min_ms: min, group_session_timeout_max_ms: max } = coordinator.settings
  const { clientId, clientHost, version } = caller
  const reply = (answer: JoinAnswer): void => done(answer)
  if (groupId === "") {
    reply(joinError(ErrorCode.INVALID_GROUP_ID, memberId))
    return
  }
  if (sessionTimeoutMs < min || sessionTimeoutMs > max) {
    reply(joinError(ErrorCode.INVALID_SESSION_TIMEOUT, memberId))
    return
  }
  const name = { tenant: caller.tenant, id: groupId }
  const group = memberId === "" ? coordinator.findOrMake(name) : coordinator.find(name)
  if (group === undefined) {
    reply(joinError(ErrorCode.UNKNOWN_MEMBER_ID, memberId))
    return
  }
  const join = {
    memberId,
    instanceId: request.groupInstanceId,
    clientId,
    clientHost,
    protocolType,
    protocols: request.protocols.map((each) => ({ name: each.name, metadata: each.metadata.slice() })),
    sessionTimeoutMs,
    // Version 0 has the session alone.
    rebalanceTimeoutMs: version === 0 ? sessionTimeoutMs : Math.max(0, request.rebalanceTimeoutMs),
    needsKnownId: version >= MEMBER_ID_REQUIRED_FROM,
    maySkipAssignment: version >= SKIP_ASSIGNMENT_FROM
  }
  group.machine.join(join, countingFull(coordinator, group, reply), coordinator.services.clock.monotonicMs())
  group.settle()
}

/** Counts a group that is full of members; one without bytes has been counted where they were asked for. */
function countingFull(
  { counts, settings }: GroupCoordinator,
  { machine }: OwnedGroup,
  reply: (answer: JoinAnswer) => void
): (answer: JoinAnswer) => void {
  return (answer) => {
    const isFull = answer.errorCode === ErrorCode.GROUP_MAX_SIZE_REACHED
    if (isFull && machine.size + machine.pendingCount >= settings.group_size_max) counts.refuse("group_size")
    reply(answer)
  }
}

export function syncOf(
  coordinator: GroupCoordinator,
  caller: GroupCaller,
  request: RequestOf<typeof syncGroup>,
  done: Answer<ResponseOf<typeof syncGroup>>
): void {
  const reply = (answer: SyncAnswer): void => done(answer)
  const group = findFor(coordinator, caller, request.groupId)
  if (typeof group === "number") {
    reply(syncError(group))
    return
  }
  const sync = {
    memberId: request.memberId,
    instanceId: request.groupInstanceId,
    generation: request.generationId,
    protocolType: request.protocolType,
    protocolName: request.protocolName,
    assignments: new Map(request.assignments.map((each) => [each.memberId, each.assignment.slice()]))
  }
  group.machine.sync(sync, reply, coordinator.services.clock.monotonicMs())
  group.settle()
}

export function heartbeatOf(
  coordinator: GroupCoordinator,
  caller: GroupCaller,
  { groupId, memberId, groupInstanceId, generationId }: RequestOf<typeof heartbeat>,
  done: Answer<ResponseOf<typeof heartbeat>>
): void {
  const group = findFor(coordinator, caller, groupId)
  if (typeof group === "number") {
    done({ errorCode: group })
    return
  }
  const now = coordinator.services.clock.monotonicMs()
  const errorCode = group.machine.heartbeat(memberId, groupInstanceId, generationId, now)
  group.settle()
  done({ errorCode })
}

export function leaveOf(
  coordinator: GroupCoordinator,
  caller: GroupCaller,
  { groupId, members }: RequestOf<typeof leaveGroup>,
  done: Answer<ResponseOf<typeof leaveGroup>>
): void {
  const group = findFor(coordinator, caller, groupId)
  if (group === ErrorCode.INVALID_GROUP_ID) {
    done({ errorCode: group, members: [] })
    return
  }
  const now = coordinator.services.clock.monotonicMs()
  const gone = members.map(({ memberId, groupInstanceId }) => {
    const errorCode = typeof group === "number" ? group : group.machine.leave(memberId, groupInstanceId, now)
    return { memberId, groupInstanceId, errorCode }
  })
  if (typeof group !== "number") group.settle()
  done({ errorCode: ErrorCode.NONE, members: gone })
}

/** The group that a member says it is in, or the error code. */
function findFor(coordinator: GroupCoordinator, { tenant }: GroupCaller, groupId: string): OwnedGroup | number {
  if (groupId === "") return ErrorCode.INVALID_GROUP_ID
  return coordinator.find({ tenant, id: groupId }) ?? ErrorCode.UNKNOWN_MEMBER_ID
}
