/**
 * What configurations belong to, by Kafka's numbers, and the checks that describing and altering them share.
 *
 * Source: org.apache.kafka.common.config.ConfigResource; apache/kafka ConfigHelper.describeConfigs, ConfigAdminManager.
 */
import { isKafkaTopicName, type TopicInfo } from "../../../core/mod.ts"
import type { Refused } from "../Administration.ts"
import type { Broker, Caller } from "../Broker.ts"
import { ErrorCode, errorMessage } from "../wire/error-codes.ts"
import { mayDo } from "./topic-access.ts"

export const TOPIC = 2
export const BROKER = 4
export const BROKER_LOGGER = 8
export const CLIENT_METRICS = 16
export const GROUP = 32

/** The topic of a resource, as far as the caller may do `action` to it. */
export function topicOfResource(name: string, action: number, broker: Broker, caller: Caller): TopicInfo | Refused {
  if (!mayDo(broker, caller, action, name)) return refusedBy(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
  const topic = broker.topics.find(caller.principal.tenant, name)
  if (topic !== undefined) return topic
  return refusedBy(isKafkaTopicName(name) ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.INVALID_TOPIC_EXCEPTION)
}

/** Why a resource of a broker is none: undefined where its name is that of this one, or "" for all. */
export function faultOfBroker(name: string, broker: Broker): Refused | undefined {
  if (name === "" || name === String(broker.nodeId)) return undefined
  return refusedBy(
    ErrorCode.INVALID_REQUEST,
    `the one broker is ${broker.nodeId}, not ${JSON.stringify(name.slice(0, 100))}`
  )
}

/** What is said of types that have no configurations here. */
export function unservedType(type: number): Refused {
  const named = new Map([
    [GROUP, "groups"],
    [CLIENT_METRICS, "client metrics"],
    [BROKER_LOGGER, "loggers"]
  ]).get(type)
  const message = named === undefined ? `resource type ${type} is unknown` : `${named} have no configurations here`
  return refusedBy(ErrorCode.INVALID_REQUEST, message)
}

export function refusedBy(errorCode: number, message: string = errorMessage(errorCode)): Refused {
  return { errorCode, message }
}
