/**
 * CreatePartitions: more partitions for topics that are there. Names that are hashed to partitions, those of MQTT and the keys of
 * producers, go by the new count from then on.
 *
 * Source: apache/kafka ReplicationControlManager.createPartitions; KIP-195.
 */
import { ALTER, PARTITIONS_MAX } from "../../../core/mod.ts"
import { isRefused, type Refused } from "../Administration.ts"
import type { Broker, Caller } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { createPartitions } from "../wire/apis.ts"
import { ErrorCode, errorMessage } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import { answerWith, mapInOrder, repeatedOf } from "./answered-later.ts"
import { isRightAssignment } from "./replica-assignment.ts"
import { topicFor } from "./topic-access.ts"

type Request = RequestOf<typeof createPartitions>
type Asked = ElementOf<Request, "topics">
type TopicAnswer = ElementOf<ResponseOf<typeof createPartitions>, "results">

export function handleCreatePartitions(
  exchange: Exchange<typeof createPartitions>,
  request: Request,
  broker: Broker
): void {
  const twice = repeatedOf(request.topics.map(({ name }) => name))
  const seen = new Set<string>()
  const once = request.topics.filter(({ name }) => !seen.has(name) && seen.add(name))
  const isTooMuch = once.reduce((sum, { count }) => sum + Math.max(0, count), 0) > PARTITIONS_MAX
  const answers = mapInOrder(once, async (asked): Promise<TopicAnswer> => {
    const { name } = asked
    let refused: Refused | undefined
    if (twice.has(name))
      refused = { errorCode: ErrorCode.INVALID_REQUEST, message: "the topic stands twice in the request" }
    else if (isTooMuch && once.length > 1) {
      const message = `the topics of one request have at most ${PARTITIONS_MAX} partitions`
      refused = { errorCode: ErrorCode.POLICY_VIOLATION, message }
    } else refused = await add(asked, request.validateOnly, broker, exchange.caller)
    if (refused === undefined) return { name, errorCode: ErrorCode.NONE, errorMessage: null }
    return { name, errorCode: broker.counts.error(refused.errorCode), errorMessage: refused.message }
  })
  answerWith(
    exchange,
    answers.then((results) => ({ results }))
  )
}

/** Why none are added; undefined where they are. */
async function add(asked: Asked, isTrial: boolean, broker: Broker, caller: Caller): Promise<Refused | undefined> {
  const { name, count, assignments } = asked
  const topic = topicFor(broker, caller, ALTER, name, "", false)
  if (typeof topic === "number") return { errorCode: topic, message: errorMessage(topic) }
  const added = count - topic.partitions
  if (assignments !== null && added > 0) {
    const isRight =
      assignments.length === added && assignments.every(({ brokerIds }) => isRightAssignment(brokerIds, broker.nodeId))
    if (!isRight) {
      const message = `an assignment names the one broker ${broker.nodeId} for each of the ${added} new partitions`
      return { errorCode: ErrorCode.INVALID_REPLICA_ASSIGNMENT, message }
    }
  }
  const altered = await broker.admin.alter(caller.principal.tenant, name, { partitions: count, isTrial })
  return isRefused(altered) ? altered : undefined
}
