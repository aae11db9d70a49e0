/**
 * DeleteTopics: by name, from version 6 on by name or id.
 *
 * Source: apache/kafka ControllerApis.deleteTopics; KIP-516.
 */
import { DELETE, DESCRIBE } from "../../../core/mod.ts"
import type { Broker, Caller } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { deleteTopics } from "../wire/apis.ts"
import { ErrorCode, errorMessage } from "../wire/error-codes.ts"
import { type ElementOf, type RequestOf, type ResponseOf, UUID_ZERO } from "../wire/schema.ts"
import { answerWith, mapInOrder, repeatedOf } from "./answered-later.ts"
import { mayDo, ownTopic } from "./topic-access.ts"

type Request = RequestOf<typeof deleteTopics>
type TopicAnswer = ElementOf<ResponseOf<typeof deleteTopics>, "responses">

/** From here on topics are named one by one, by name or id. */
const BY_ID_FROM = 6

interface Asked {
  readonly name: string | null
  readonly topicId: string
}

export function handleDeleteTopics(exchange: Exchange<typeof deleteTopics>, request: Request, broker: Broker): void {
  const named = request.topicNames.map((name): Asked => ({ name, topicId: UUID_ZERO }))
  const asked: ReadonlyArray<Asked> = exchange.version >= BY_ID_FROM ? request.topics : named
  const keyOf = ({ name, topicId }: Asked): string => name ?? topicId
  const twice = repeatedOf(asked.map(keyOf))
  const seen = new Set<string>()
  const once = asked.filter((one) => !seen.has(keyOf(one)) && seen.add(keyOf(one)))
  const answers = mapInOrder(once, async (one): Promise<TopicAnswer> => {
    const isTwice = twice.has(keyOf(one))
    const answer = isTwice ? refusal(one, ErrorCode.INVALID_REQUEST) : await remove(one, broker, exchange.caller)
    broker.counts.error(answer.errorCode)
    return answer
  })
  answerWith(
    exchange,
    answers.then((responses) => ({ responses }))
  )
}

async function remove(asked: Asked, broker: Broker, caller: Caller): Promise<TopicAnswer> {
  const { tenant } = caller.principal
  const isById = asked.topicId !== UUID_ZERO
  // One of both says which it is.
  if (isById === (asked.name !== null)) return refusal(asked, ErrorCode.INVALID_REQUEST)
  const found = isById
    ? ownTopic(broker.topics.findById(asked.topicId), caller)
    : broker.topics.find(tenant, asked.name ?? "")
  const name = found?.name ?? asked.name
  // Without the right to see a topic its name is not told.
  if (name !== null && !mayDo(broker, caller, DESCRIBE, name)) {
    return refusal(asked, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
  }
  if (found === undefined) {
    return refusal(asked, isById ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  }
  const known = { name: found.name, topicId: found.id }
  if (!mayDo(broker, caller, DELETE, found.name)) return refusal(known, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
  const refused = await broker.admin.delete(tenant, found.name, found.id)
  if (refused === undefined) return { ...known, errorCode: ErrorCode.NONE, errorMessage: null }
  // It was there a moment ago: by its id it is unknown now.
  const isGone = refused.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION && isById
  return refusal(known, isGone ? ErrorCode.UNKNOWN_TOPIC_ID : refused.errorCode, refused.message)
}

function refusal({ name, topicId }: Asked, errorCode: number, message: string = errorMessage(errorCode)): TopicAnswer {
  return { name, topicId, errorCode, errorMessage: message }
}
