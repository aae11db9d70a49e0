/**
 * Metadata: the one broker, and the topics that are asked for, created where that is allowed.
 *
 * Source: apache/kafka KafkaApis.handleTopicMetadataRequest; KAFKA notes, section 2, "Metadata".
 */
import { CREATE, DESCRIBE, isKafkaTopicName, type TopicInfo } from "../../../core/mod.ts"
import type { Broker, Caller } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { metadata } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import { type ElementOf, type RequestOf, type ResponseOf, UUID_ZERO } from "../wire/schema.ts"
import { OPERATIONS_UNKNOWN, operationsOnCluster, operationsOnTopic } from "./authorized-operations.ts"
import { describePartitions } from "./described-partitions.ts"
import { mayDo, ownTopic } from "./topic-access.ts"

type Request = RequestOf<typeof metadata>
type TopicAnswer = ElementOf<ResponseOf<typeof metadata>, "topics">

/** From here on null means all topics and no topics means none; before, no topics means all. */
const NULL_IS_ALL_FROM = 1
/** From here on topics are looked up by id; 10 and 11 carry ids that must stay unused. */
const BY_ID_FROM = 12
/**
 * Partitions of one request's topics that are opened for it. Who names a topic is about to use it, and a leader epoch that comes and goes
 * (-1 of one that is not open) is a change of leader to some clients: franz-go breaks off its fetches, has its offsets checked
 * (OffsetForLeaderEpoch), and asks for metadata every 5 s while an epoch that it knew is missing.
 */
const OPENED_MAX = 2_000

export function handleMetadata(exchange: Exchange<typeof metadata>, request: Request, broker: Broker): void {
  answer(exchange, request, broker).then(
    (response) => exchange.complete(response),
    (error) => exchange.fail(error)
  )
}

async function answer(
  exchange: Exchange<typeof metadata>,
  request: Request,
  broker: Broker
): Promise<ResponseOf<typeof metadata>> {
  const { caller, version } = exchange
  const { host, port } = caller.advertised
  const topics = await topicsOf(version, request, broker, caller)
  for (const topic of topics) broker.counts.error(topic.errorCode)
  return {
    brokers: [{ nodeId: broker.nodeId, host, port }],
    clusterId: broker.clusterId,
    controllerId: broker.nodeId,
    topics,
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
      ? operationsOnCluster(broker, caller)
      : OPERATIONS_UNKNOWN
  }
}

async function topicsOf(
  version: number,
  request: Request,
  broker: Broker,
  caller: Caller
): Promise<Array<TopicAnswer>> {
  const describe = (topic: TopicInfo, opened: number): Promise<TopicAnswer> =>
    describeTopic(topic, broker, caller, request.includeTopicAuthorizedOperations, opened)
  if (request.topics === null || (version < NULL_IS_ALL_FROM && request.topics.length === 0)) {
    const all = broker.topics.list(caller.principal.tenant)
    // Of all topics none is opened: there may be a million.
    const seen = all.filter((topic) => mayDo(broker, caller, DESCRIBE, topic.name))
    return Promise.all(seen.map((topic) => describe(topic, 0)))
  }
  // First which topics there are, then what they are: nothing is left running should a creation fail.
  const found: Array<TopicInfo | TopicAnswer> = []
  const seen = new Set<string>()
  for (const { name, topicId } of request.topics) {
    const key = name ?? topicId
    if (seen.has(key)) continue
    seen.add(key)
    if (version >= BY_ID_FROM && topicId !== UUID_ZERO) {
      const topic = ownTopic(broker.topics.findById(topicId), caller)
      if (topic === undefined) found.push(refusedTopic(ErrorCode.UNKNOWN_TOPIC_ID, null, topicId))
      else if (mayDo(broker, caller, DESCRIBE, topic.name)) found.push(topic)
      else found.push(refusedTopic(ErrorCode.TOPIC_AUTHORIZATION_FAILED, null, topicId))
    } else if (name === null || topicId !== UUID_ZERO) {
      // No name, or an id in a version that must leave it unused.
      found.push(refusedTopic(ErrorCode.INVALID_REQUEST, version >= BY_ID_FROM ? name : (name ?? ""), topicId))
    } else {
      const topic = await findOrCreate(name, request.allowAutoTopicCreation, broker, caller)
      found.push(typeof topic === "number" ? refusedTopic(topic, name, UUID_ZERO) : topic)
    }
  }
  let room = OPENED_MAX
  return Promise.all(
    found.map((one) => {
      if ("errorCode" in one) return one
      const opened = Math.max(0, room)
      room -= one.partitions
      return describe(one, opened)
    })
  )
}

/** The topic of a name, made now where it is missing and that is allowed; else the error code. */
async function findOrCreate(
  name: string,
  mayCreate: boolean,
  broker: Broker,
  caller: Caller
): Promise<TopicInfo | number> {
  if (!mayDo(broker, caller, DESCRIBE, name)) return ErrorCode.TOPIC_AUTHORIZATION_FAILED
  const { tenant } = caller.principal
  const known = broker.topics.find(tenant, name)
  if (known !== undefined) return known
  if (!isKafkaTopicName(name)) return ErrorCode.INVALID_TOPIC_EXCEPTION
  if (!mayCreate || !broker.topics.autoCreate) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  if (!mayDo(broker, caller, CREATE, name)) return ErrorCode.TOPIC_AUTHORIZATION_FAILED
  return broker.createTopic(tenant, name)
}

function refusedTopic(errorCode: number, name: string | null, topicId: string): TopicAnswer {
  return { errorCode, name, topicId, partitions: [] }
}

async function describeTopic(
  topic: TopicInfo,
  broker: Broker,
  caller: Caller,
  withOperations: boolean,
  opened: number
): Promise<TopicAnswer> {
  const partitions = await describePartitions(topic, 0, topic.partitions, broker, opened)
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    partitions,
    topicAuthorizedOperations: withOperations ? operationsOnTopic(broker, caller, topic.name) : OPERATIONS_UNKNOWN
  }
}
