/**
 * AlterConfigs and IncrementalAlterConfigs: configurations of topics, each topic in one step. Those of a broker stand in its manifest.
 *
 * Source: apache/kafka ConfigAdminManager.preprocess, ConfigurationControlManager.incrementalAlterConfig; KIP-133, KIP-339.
 */
import { ALTER, type ConfigOperation, type TopicAlteration } from "../../../core/mod.ts"
import { isRefused, type Refused } from "../Administration.ts"
import type { Broker, Caller } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { alterConfigs, incrementalAlterConfigs } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { answerWith, mapInOrder, repeatedOf } from "./answered-later.ts"
import { CLUSTER } from "./authorized-operations.ts"
import { BROKER, refusedBy, TOPIC, topicOfResource, unservedType } from "./config-resources.ts"
import { mayDo } from "./topic-access.ts"

/** By Kafka's numbers (AlterConfigOp.OpType). */
const OPERATIONS = ["set", "delete", "append", "subtract"] as const
/** Configurations that one resource may name: all there are, and as many again for what is mistyped. */
const CONFIGS_MAX = 100

interface Asked {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: ReadonlyArray<{
    readonly name: string
    readonly configOperation?: number
    readonly value: string | null
  }>
}

interface Outcome {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly resourceType: number
  readonly resourceName: string
}

export function handleAlterConfigs(
  exchange: Exchange<typeof alterConfigs>,
  request: RequestOf<typeof alterConfigs>,
  broker: Broker
): void {
  const outcomes = alterAll(request.resources, true, request.validateOnly, broker, exchange.caller)
  answerWith(
    exchange,
    outcomes.then((responses) => ({ responses }))
  )
}

export function handleIncrementalAlterConfigs(
  exchange: Exchange<typeof incrementalAlterConfigs>,
  request: RequestOf<typeof incrementalAlterConfigs>,
  broker: Broker
): void {
  const outcomes = alterAll(request.resources, false, request.validateOnly, broker, exchange.caller)
  answerWith(
    exchange,
    outcomes.then((responses) => ({ responses }))
  )
}

/** Each resource once, with its outcome. `isWhole`: what is not named goes back to its default. */
function alterAll(
  resources: ReadonlyArray<Asked>,
  isWhole: boolean,
  isTrial: boolean,
  broker: Broker,
  caller: Caller
): Promise<Array<Outcome>> {
  const keyOf = ({ resourceType, resourceName }: Asked): string => `${resourceType}/${resourceName}`
  const twice = repeatedOf(resources.map(keyOf))
  const seen = new Set<string>()
  const once = resources.filter((one) => !seen.has(keyOf(one)) && seen.add(keyOf(one)))
  return mapInOrder(once, async (asked): Promise<Outcome> => {
    const { resourceType, resourceName } = asked
    const refused = twice.has(keyOf(asked))
      ? refusedBy(ErrorCode.INVALID_REQUEST, "the resource stands twice in the request")
      : await alter(asked, isWhole, isTrial, broker, caller)
    const errorCode = broker.counts.error(refused?.errorCode ?? ErrorCode.NONE)
    return { errorCode, errorMessage: refused?.message ?? null, resourceType, resourceName }
  })
}

/** Why nothing is altered; undefined where it is. */
async function alter(
  asked: Asked,
  isWhole: boolean,
  isTrial: boolean,
  broker: Broker,
  caller: Caller
): Promise<Refused | undefined> {
  const { resourceType, resourceName } = asked
  if (resourceType !== TOPIC) {
    if (!mayDo(broker, caller, ALTER, CLUSTER)) return refusedBy(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    if (resourceType !== BROKER) return unservedType(resourceType)
    return refusedBy(ErrorCode.INVALID_REQUEST, "what a broker is set to stands in its manifest, and is changed there")
  }
  const topic = topicOfResource(resourceName, ALTER, broker, caller)
  if (isRefused(topic)) return topic
  const configs = operationsOf(asked)
  if (isRefused(configs)) return configs
  const alteration: TopicAlteration = { configs, isWhole, isTrial }
  const altered = await broker.admin.alter(caller.principal.tenant, topic.name, alteration)
  return isRefused(altered) ? altered : undefined
}

function operationsOf({ configs }: Asked): ReadonlyArray<ConfigOperation> | Refused {
  const twice = [...repeatedOf(configs.map(({ name }) => name))]
  if (twice.length > 0) {
    return refusedBy(ErrorCode.INVALID_REQUEST, `configuration ${twice[0]?.slice(0, 100)} stands twice in the request`)
  }
  if (configs.length > CONFIGS_MAX) {
    return refusedBy(ErrorCode.INVALID_REQUEST, `a request names at most ${CONFIGS_MAX} configurations of a topic`)
  }
  const operations: Array<ConfigOperation> = []
  for (const { name, configOperation = 0, value } of configs) {
    const operation = OPERATIONS[configOperation]
    if (operation === undefined) {
      return refusedBy(ErrorCode.INVALID_REQUEST, `operation ${configOperation} on ${name.slice(0, 100)} is unknown`)
    }
    if (value === null && operation !== "delete") {
      return refusedBy(ErrorCode.INVALID_REQUEST, `configuration ${name.slice(0, 100)} has no value`)
    }
    operations.push({ name, operation, value: value ?? "" })
  }
  return operations
}
