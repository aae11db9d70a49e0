/**
 * CreateTopics: new topics, each with its own outcome.
 *
 * Source: apache/kafka ControllerApis.createTopics, ReplicationControlManager.createTopic (which fault has which code, and the bound on
 * partitions of one request); KIP-464, KIP-525.
 */
import { CREATE, DESCRIBE, describedConfigs, type NewTopic, PARTITIONS_MAX, type TopicInfo } from "../../../core/mod.ts"
import { isRefused, type Refused } from "../Administration.ts"
import type { Broker, Caller } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { createTopics } from "../wire/apis.ts"
import { ErrorCode, errorMessage } from "../wire/error-codes.ts"
import { type ElementOf, type RequestOf, type ResponseOf, UUID_ZERO } from "../wire/schema.ts"
import { answerWith, mapInOrder, repeatedOf } from "./answered-later.ts"
import { CLUSTER } from "./authorized-operations.ts"
import { isRightAssignment } from "./replica-assignment.ts"
import { mayDo } from "./topic-access.ts"

type Request = RequestOf<typeof createTopics>
type Asked = ElementOf<Request, "topics">
type TopicAnswer = ElementOf<ResponseOf<typeof createTopics>, "topics">

/** Where the defaults are to be taken. */
const DEFAULT = -1

export function handleCreateTopics(exchange: Exchange<typeof createTopics>, request: Request, broker: Broker): void {
  const twice = repeatedOf(request.topics.map(({ name }) => name))
  const seen = new Set<string>()
  const once = request.topics.filter(({ name }) => !seen.has(name) && seen.add(name))
  const isTooMuch = once.reduce((sum, asked) => sum + partitionsOf(asked, broker), 0) > PARTITIONS_MAX
  const answers = mapInOrder(once, async (asked): Promise<TopicAnswer> => {
    const { name } = asked
    if (twice.has(name))
      return refusal(name, ErrorCode.INVALID_REQUEST, "the topic stands twice in the request", broker)
    if (isTooMuch) {
      const message = `one request makes at most ${PARTITIONS_MAX} partitions`
      return refusal(name, ErrorCode.POLICY_VIOLATION, message, broker)
    }
    const made = await create(asked, request.validateOnly, broker, exchange.caller)
    if (isRefused(made)) return refusal(name, made.errorCode, made.message, broker)
    return created(made, broker, exchange.caller)
  })
  answerWith(
    exchange,
    answers.then((topics) => ({ topics }))
  )
}

async function create(asked: Asked, isTrial: boolean, broker: Broker, caller: Caller): Promise<TopicInfo | Refused> {
  const { name } = asked
  if (!mayDo(broker, caller, CREATE, name) && !mayDo(broker, caller, CREATE, CLUSTER)) {
    const errorCode = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    return { errorCode, message: errorMessage(errorCode) }
  }
  const topic = wanted(asked, broker.nodeId)
  if (isRefused(topic)) return topic
  const { tenant } = caller.principal
  return isTrial ? broker.admin.plan(tenant, topic) : broker.admin.create(tenant, topic)
}

/** The topic that is asked for, in the core's words. */
function wanted(
  { name, numPartitions, replicationFactor, assignments, configs }: Asked,
  nodeId: number
): NewTopic | Refused {
  const refused = (errorCode: number, message: string): Refused => ({ errorCode, message })
  let partitions = numPartitions
  if (assignments.length > 0) {
    if (numPartitions !== DEFAULT || replicationFactor !== DEFAULT) {
      return refused(
        ErrorCode.INVALID_REQUEST,
        "an assignment of replicas says how many there are: both numbers must be -1"
      )
    }
    partitions = assignments.length
    const indexes = new Set(assignments.map(({ partitionIndex }) => partitionIndex))
    const isWhole = indexes.size === partitions && [...indexes].every((index) => index >= 0 && index < partitions)
    if (!isWhole || !assignments.every(({ brokerIds }) => isRightAssignment(brokerIds, nodeId))) {
      const message = `each partition from 0 on stands once in an assignment, with the one broker ${nodeId}`
      return refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
    }
  } else if (replicationFactor !== DEFAULT && replicationFactor !== 1) {
    const message = `there is one broker: the replication factor is 1, not ${replicationFactor}`
    return refused(ErrorCode.INVALID_REPLICATION_FACTOR, message)
  } else if (partitions !== DEFAULT && (partitions < 1 || partitions > PARTITIONS_MAX)) {
    return refused(ErrorCode.INVALID_PARTITIONS, `a topic has 1 to ${PARTITIONS_MAX} partitions, not ${partitions}`)
  }
  const given: Array<readonly [string, string]> = []
  for (const { name: config, value } of configs) {
    if (value === null) return refused(ErrorCode.INVALID_CONFIG, `configuration ${config.slice(0, 100)} has no value`)
    given.push([config, value])
  }
  return {
    name,
    ...(partitions === DEFAULT ? {} : { partitions }),
    ...(configs.length === 0 ? {} : { configs: Object.fromEntries(given) })
  }
}

/** How many it will have, as far as that can be told before anything is looked at. */
function partitionsOf({ name, numPartitions, assignments }: Asked, { admin }: Broker): number {
  if (assignments.length > 0) return assignments.length
  return numPartitions > 0 ? numPartitions : admin.defaultsOf(name).partitions
}

function created(topic: TopicInfo, broker: Broker, caller: Caller): TopicAnswer {
  const answer: TopicAnswer = { name: topic.name, topicId: topic.id, errorCode: ErrorCode.NONE, errorMessage: null }
  if (!mayDo(broker, caller, DESCRIBE, topic.name)) {
    return { ...answer, topicConfigErrorCode: ErrorCode.TOPIC_AUTHORIZATION_FAILED, configs: null }
  }
  const configs = describedConfigs(topic, broker.admin.defaultsOf(topic.name)).map(({ name, value, source }) => ({
    name,
    value,
    readOnly: false,
    configSource: source,
    isSensitive: false
  }))
  return { ...answer, numPartitions: topic.partitions, replicationFactor: 1, configs }
}

function refusal(name: string, errorCode: number, message: string, broker: Broker): TopicAnswer {
  const errorMessage = message
  return { name, topicId: UUID_ZERO, errorCode: broker.counts.error(errorCode), errorMessage, configs: [] }
}
