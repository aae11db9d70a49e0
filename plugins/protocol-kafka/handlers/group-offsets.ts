/**
 * OffsetCommit, OffsetFetch and OffsetDelete: topics are looked up and checked here, by name or by id, and go to the group's owner by id.
 *
 * Source: apache/kafka KafkaApis.handleOffsetCommitRequest, handleOffsetFetchRequest, handleOffsetDeleteRequest.
 */
import { DESCRIBE, READ } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import { commitAnswer } from "../groups/offset-requests.ts"
import type { offsetCommit, offsetDelete, offsetFetch } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import { type ElementOf, type RequestOf, type ResponseOf, UUID_ZERO } from "../wire/schema.ts"
import { askGroup, groupCaller } from "./ask-group.ts"
import { mayDo, ownTopic, topicFor } from "./topic-access.ts"

/** From this version on topics are named by id, in OffsetCommit and OffsetFetch. */
const BY_ID_FROM = 10
/** From this version on OffsetFetch has a list of groups, and before which an error of the group stands at each partition. */
const GROUPS_FROM = 8
const GROUP_ERROR_FROM = 2

type CommitRequest = RequestOf<typeof offsetCommit>
type CommitResponse = ResponseOf<typeof offsetCommit>

export function handleOffsetCommit(
  exchange: Exchange<typeof offsetCommit>,
  request: CommitRequest,
  broker: Broker
): void {
  const isById = exchange.version >= BY_ID_FROM
  const known: Array<ElementOf<CommitRequest, "topics">> = []
  // In the order of the request: what is refused here, and the rest as the owner says.
  const slots = request.topics.map((asked) => {
    const topic = topicFor(broker, exchange.caller, READ, asked.name, asked.topicId, isById)
    const isThere = (partition: number): boolean =>
      typeof topic !== "number" && partition >= 0 && partition < topic.partitions
    const partitions = asked.partitions.filter(({ partitionIndex }) => isThere(partitionIndex))
    if (typeof topic !== "number" && partitions.length > 0) known.push({ name: "", topicId: topic.id, partitions })
    const error = typeof topic === "number" ? topic : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return { asked, isThere, error }
  })
  const answerOf = ({ topics }: CommitResponse): CommitResponse => {
    let next = 0
    return {
      topics: slots.map(({ asked, isThere, error }) => {
        const { name, topicId } = asked
        const hasAny = asked.partitions.some(({ partitionIndex }) => isThere(partitionIndex))
        const told = (hasAny ? topics[next++]?.partitions : undefined)?.[Symbol.iterator]()
        const partitions = asked.partitions.map(({ partitionIndex }) => {
          const errorCode = isThere(partitionIndex) ? (told?.next().value?.errorCode ?? error) : error
          return { partitionIndex, errorCode: broker.counts.error(errorCode) }
        })
        return { name, topicId, partitions }
      })
    }
  }
  if (known.length === 0) {
    exchange.complete(answerOf({ topics: [] }))
    return
  }
  const forwarded = { ...request, topics: known }
  const unanswered = () => answerOf(commitAnswer(forwarded, () => ErrorCode.NOT_COORDINATOR))
  askGroup(exchange, broker, request.groupId, forwarded, unanswered, answerOf, request.retentionTimeMs)
}

type FetchRequest = RequestOf<typeof offsetFetch>
type FetchResponse = ResponseOf<typeof offsetFetch>
type AskedGroup = ElementOf<FetchRequest, "groups">
type FetchedGroup = ElementOf<FetchResponse, "groups">
type FetchedTopic = ElementOf<FetchedGroup, "topics">

export function handleOffsetFetch(exchange: Exchange<typeof offsetFetch>, request: FetchRequest, broker: Broker): void {
  const { version } = exchange
  // Once each, however often they are named: an answer may be many times as large as its question.
  const named = new Map(request.groups.map((group) => [group.groupId, group]))
  const asked: ReadonlyArray<AskedGroup> = version >= GROUPS_FROM ? [...named.values()] : [soleGroup(request)]
  const answers: Array<FetchedGroup> = []
  let open = asked.length
  let isOpen = true
  const finish = (): void => {
    if (!isOpen) return
    isOpen = false
    const groups = asked.map(({ groupId }, index) => {
      return answers[index] ?? { groupId, topics: [], errorCode: broker.counts.error(ErrorCode.NOT_COORDINATOR) }
    })
    exchange.complete(version >= GROUPS_FROM ? { groups } : soleAnswer(groups[0], request, version))
  }
  exchange.waiting = {
    finish,
    cancel: () => {
      isOpen = false
    }
  }
  asked.forEach((group, index) => {
    fetchGroup(exchange, broker, group, request.requireStable, (answer) => {
      answers[index] = answer
      open -= 1
      if (open === 0) finish()
    })
  })
  if (asked.length === 0) finish()
}

function soleGroup({ groupId, topics }: FetchRequest): AskedGroup {
  const named = topics?.map(({ name, partitionIndexes }) => ({ name, topicId: UUID_ZERO, partitionIndexes })) ?? null
  return { groupId, memberId: null, memberEpoch: -1, topics: named }
}

function soleAnswer(group: FetchedGroup | undefined, request: FetchRequest, version: number): FetchResponse {
  const errorCode = group?.errorCode ?? 0
  const topics = (group?.topics ?? []).map(({ name = "", partitions }) => ({ name, partitions }))
  if (errorCode === 0 || version >= GROUP_ERROR_FROM) return { topics, errorCode }
  const nowhere = { committedOffset: -1, metadata: "", errorCode }
  const refused = (request.topics ?? []).map(({ name, partitionIndexes }) => {
    return { name, partitions: partitionIndexes.map((partitionIndex) => ({ ...nowhere, partitionIndex })) }
  })
  return { topics: refused }
}

/** One group's offsets: of the topics that the caller may know of. */
function fetchGroup(
  { caller, version, api }: Exchange<typeof offsetFetch>,
  broker: Broker,
  group: AskedGroup,
  requireStable: boolean,
  done: (answer: FetchedGroup) => void
): void {
  const isById = version >= BY_ID_FROM
  const looked = group.topics?.map((asked) => {
    return { asked, topic: topicFor(broker, caller, DESCRIBE, asked.name, asked.topicId, isById) }
  })
  const topics =
    looked?.flatMap(({ asked, topic }) =>
      typeof topic === "number" ? [] : [{ name: "", topicId: topic.id, partitionIndexes: asked.partitionIndexes }]
    ) ?? null
  const answerOf = (found: ReadonlyArray<FetchedTopic>): ReadonlyArray<FetchedTopic> => {
    if (looked === undefined) {
      // All there are: topics that are gone, or not the caller's to see, are left out.
      return found.flatMap(({ topicId = UUID_ZERO, partitions }) => {
        const topic = ownTopic(broker.topics.findById(topicId), caller)
        if (topic === undefined || !mayDo(broker, caller, DESCRIBE, topic.name)) return []
        return [{ name: topic.name, topicId, partitions }]
      })
    }
    let next = 0
    return looked.map(({ asked, topic }) => {
      const { name, topicId, partitionIndexes } = asked
      if (typeof topic !== "number") return { name, topicId, partitions: found[next++]?.partitions ?? [] }
      // A name that is unknown has no offsets, and that is no error.
      const isUnknownName = topic === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      const errorCode = isUnknownName ? ErrorCode.NONE : broker.counts.error(topic)
      const nowhere = { committedOffset: -1, committedLeaderEpoch: -1, metadata: "", errorCode }
      return { name, topicId, partitions: partitionIndexes.map((partitionIndex) => ({ ...nowhere, partitionIndex })) }
    })
  }
  const { groups } = broker
  const as = groupCaller(caller, version)
  const request = { groupId: "", topics: null, groups: [{ ...group, topics }], requireStable }
  groups.ask(groups.ownerOf(as.tenant, group.groupId), api, as, request, (response) => {
    const errorCode = broker.counts.error(response.groups?.[0]?.errorCode ?? 0)
    done({ groupId: group.groupId, errorCode, topics: answerOf(response.groups?.[0]?.topics ?? []) })
  })
}

type DeleteResponse = ResponseOf<typeof offsetDelete>

export function handleOffsetDelete(
  exchange: Exchange<typeof offsetDelete>,
  request: RequestOf<typeof offsetDelete>,
  broker: Broker
): void {
  const refused = new Set(request.topics.filter(({ name }) => !mayDo(broker, exchange.caller, READ, name)))
  const topics = request.topics.filter((topic) => !refused.has(topic))
  const answerOf = (answer: DeleteResponse): DeleteResponse => {
    broker.counts.error(answer.errorCode)
    if (answer.errorCode !== 0) return answer
    const errorCode = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    const more = Array.from(refused, ({ name, partitions }) => {
      return { name, partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })) }
    })
    const all = [...answer.topics, ...more]
    for (const { partitions } of all) for (const each of partitions) broker.counts.error(each.errorCode)
    return { ...answer, topics: all }
  }
  const unanswered = () => answerOf({ errorCode: ErrorCode.NOT_COORDINATOR, throttleTimeMs: 0, topics: [] })
  askGroup(exchange, broker, request.groupId, { ...request, topics }, unanswered, answerOf)
}
