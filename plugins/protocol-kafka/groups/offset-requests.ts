/**
 * Committed offsets at the shard that owns the group: topics by id, requests and answers in the form of each API's newest version.
 *
 * The shard of the connection has looked topics up, and refused those that are unknown.
 *
 * Source: apache/kafka OffsetMetadataManager; KIP-211, KIP-496, KIP-709.
 */

import type { offsetCommit, offsetDelete, offsetFetch } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import type { GroupCoordinator } from "./GroupCoordinator.ts"
import type { Answer, GroupCaller } from "./member-requests.ts"
import type { OffsetWrite, OwnedGroup } from "./OwnedGroup.ts"
import { CONSUMER } from "./subscription.ts"

/** Characters of what a client may say beside an offset; Kafka's offset.metadata.max.bytes. */
export const OFFSET_METADATA_MAX = 4_096
/** From this version on a generation of a group that is not there is told as that. */
const GROUP_NOT_FOUND_FROM = 9

type CommitRequest = RequestOf<typeof offsetCommit>
type CommitResponse = ResponseOf<typeof offsetCommit>

export function commitOf(
  coordinator: GroupCoordinator,
  caller: GroupCaller,
  request: CommitRequest,
  done: Answer<CommitResponse>
): void {
  const name = { tenant: caller.tenant, id: request.groupId }
  const { generationIdOrMemberEpoch: generation, memberId, groupInstanceId } = request
  const isSimple = generation < 0
  const group = isSimple ? coordinator.findOrMake(name) : coordinator.find(name)
  if (group === undefined) {
    const isOld = caller.version < GROUP_NOT_FOUND_FROM
    done(commitAnswer(request, () => (isOld ? ErrorCode.ILLEGAL_GENERATION : ErrorCode.GROUP_ID_NOT_FOUND)))
    return
  }
  const { clock } = coordinator.services
  const refused = group.machine.mayCommit(memberId, groupInstanceId, generation, clock.monotonicMs())
  if (refused !== 0) {
    group.settle()
    done(commitAnswer(request, () => refused))
    return
  }
  const committedAtMs = clock.nowMs()
  const { retentionMs } = caller
  const expiresAtMs = retentionMs < 0 ? 0 : Math.min(committedAtMs + retentionMs, Number.MAX_SAFE_INTEGER)
  const writes: Array<OffsetWrite> = []
  for (const { topicId, partitions } of request.topics) {
    for (const each of partitions) {
      const metadata = each.committedMetadata ?? ""
      if (metadata.length > OFFSET_METADATA_MAX) continue
      const leaderEpoch = Math.max(-1, each.committedLeaderEpoch)
      const committed = { offset: each.committedOffset, leaderEpoch, metadata, committedAtMs, expiresAtMs }
      writes.push({ topicId, partition: each.partitionIndex, committed })
    }
  }
  const errorOf = (outcome: number) => (metadata: string | null) =>
    (metadata ?? "").length > OFFSET_METADATA_MAX ? ErrorCode.OFFSET_METADATA_TOO_LARGE : outcome
  const bound = group.boundOf(group.offsets.growthOf(writes))
  if (writes.length === 0 || bound !== undefined) {
    group.settle()
    // What the group alone has too much of stays so; what all groups have together may go, and the client asks again.
    const isLasting = bound !== "total_bytes"
    done(
      commitAnswer(
        request,
        errorOf(isLasting ? ErrorCode.INVALID_COMMIT_OFFSET_SIZE : ErrorCode.COORDINATOR_NOT_AVAILABLE)
      )
    )
    return
  }
  // The request's bytes are gone by then; its texts and numbers stay.
  group.commit(writes, (outcome) => {
    done(commitAnswer(request, errorOf(outcome === 0 ? ErrorCode.NONE : ErrorCode.COORDINATOR_NOT_AVAILABLE)))
  })
  group.settle()
}

/** An answer for every partition of the request. */
export function commitAnswer(
  { topics }: Pick<CommitRequest, "topics">,
  errorOf: (metadata: string | null) => number
): CommitResponse {
  return {
    topics: topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex, committedMetadata }) => {
        return { partitionIndex, errorCode: errorOf(committedMetadata) }
      })
    }))
  }
}

type FetchGroup = ElementOf<RequestOf<typeof offsetFetch>, "groups">
type FetchedGroup = ElementOf<ResponseOf<typeof offsetFetch>, "groups">
type FetchedPartition = ElementOf<ElementOf<FetchedGroup, "topics">, "partitions">

/** Without transactions there is nothing unstable: `requireStable` changes nothing. */
export function fetchOf(
  coordinator: GroupCoordinator,
  { tenant }: GroupCaller,
  { groups }: RequestOf<typeof offsetFetch>,
  done: Answer<ResponseOf<typeof offsetFetch>>
): void {
  done({ groups: groups.map((asked) => fetched(asked, coordinator.find({ tenant, id: asked.groupId }))) })
}

function fetched({ groupId, topics }: FetchGroup, group: OwnedGroup | undefined): FetchedGroup {
  const offsets = group?.offsets
  const of = (topicId: string, partitionIndex: number): FetchedPartition => {
    const found = offsets?.get({ topicId, partition: partitionIndex })
    return {
      partitionIndex,
      committedOffset: found?.offset ?? -1,
      committedLeaderEpoch: found?.leaderEpoch ?? -1,
      metadata: found?.metadata ?? "",
      errorCode: ErrorCode.NONE
    }
  }
  const all = Array.from(offsets?.topicIds() ?? [], (topicId) => {
    return { topicId, partitionIndexes: [...(offsets?.ofTopic(topicId)?.keys() ?? [])] }
  })
  const asked = topics ?? all
  return {
    groupId,
    topics: asked.map(({ topicId, partitionIndexes }) => {
      return { topicId, partitions: partitionIndexes.map((partition) => of(topicId, partition)) }
    })
  }
}

type DeleteRequest = RequestOf<typeof offsetDelete>

/** Topics that a member reads keep their offsets; of a group that is no consumer's all do, as long as it has members. */
export function deleteOffsetsOf(
  coordinator: GroupCoordinator,
  { tenant }: GroupCaller,
  request: DeleteRequest,
  done: Answer<ResponseOf<typeof offsetDelete>>
): void {
  const group = coordinator.find({ tenant, id: request.groupId })
  const isEmpty = group?.machine.state === "Empty"
  if (group === undefined || (!isEmpty && group.machine.protocolType !== CONSUMER)) {
    const errorCode = group === undefined ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.NON_EMPTY_GROUP
    done({ errorCode, throttleTimeMs: 0, topics: [] })
    return
  }
  // What members read cannot be told where they say it in a form of their own: then it may be anything.
  const subscribed = isEmpty ? new Set<string>() : group.subscribed()
  const topics = request.topics.map(({ name, partitions }) => {
    const topic = coordinator.services.topics.find(tenant, name)
    const isRead = subscribed === undefined || subscribed.has(name)
    const answers = partitions.map(({ partitionIndex }) => {
      let errorCode: number = ErrorCode.NONE
      if (topic === undefined || partitionIndex < 0 || partitionIndex >= topic.partitions) {
        errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      } else if (isRead) errorCode = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
      return { partitionIndex, errorCode }
    })
    return { name, topicId: topic?.id ?? "", partitions: answers }
  })
  const places = topics.flatMap(({ topicId, partitions }) =>
    partitions.flatMap(({ partitionIndex, errorCode }) =>
      errorCode === ErrorCode.NONE ? [{ topicId, partition: partitionIndex }] : []
    )
  )
  const answer = { errorCode: ErrorCode.NONE, throttleTimeMs: 0, topics }
  if (places.length === 0) {
    done(answer)
    return
  }
  group.forget(places, (outcome) => {
    if (outcome === 0) done(answer)
    else done({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, throttleTimeMs: 0, topics: [] })
  })
}
