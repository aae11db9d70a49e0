/**
 * DescribeConfigs: configurations of topics, and of this broker as its manifest has them.
 *
 * Source: apache/kafka ConfigHelper.describeConfigs; KIP-133, KIP-226, KIP-569.
 */
import { type ConfigType, DESCRIBE, describedConfigs } from "../../../core/mod.ts"
import { isRefused, type Refused } from "../Administration.ts"
import type { Broker, Caller } from "../Broker.ts"
import { brokerConfigs } from "../broker-configs.ts"
import type { Exchange } from "../Exchange.ts"
import type { describeConfigs } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import { CLUSTER } from "./authorized-operations.ts"
import {
  BROKER,
  BROKER_LOGGER,
  CLIENT_METRICS,
  faultOfBroker,
  refusedBy,
  TOPIC,
  topicOfResource,
  unservedType
} from "./config-resources.ts"
import { mayDo } from "./topic-access.ts"

type Request = RequestOf<typeof describeConfigs>
type Asked = ElementOf<Request, "resources">
type ResourceAnswer = ElementOf<ResponseOf<typeof describeConfigs>, "results">
type ConfigAnswer = ElementOf<ResourceAnswer, "configs">

/** Kafka's numbers of types (DescribeConfigsResponse.ConfigType). */
const TYPES: Readonly<Record<ConfigType, number>> = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 }
const STATIC_BROKER = 4
const DEFAULT_CONFIG = 5

export function handleDescribeConfigs(
  exchange: Exchange<typeof describeConfigs>,
  request: Request,
  broker: Broker
): void {
  const results = request.resources.map((asked): ResourceAnswer => {
    const { resourceType, resourceName, configurationKeys } = asked
    const found = describe(asked, broker, exchange.caller)
    if (isRefused(found)) {
      const { errorCode, message } = found
      return {
        errorCode: broker.counts.error(errorCode),
        errorMessage: message,
        resourceType,
        resourceName,
        configs: []
      }
    }
    const keys = configurationKeys === null ? undefined : new Set(configurationKeys)
    const configs = found
      .filter(({ name }) => keys?.has(name) ?? true)
      .map((config) => ({
        ...config,
        synonyms: request.includeSynonyms ? (config.synonyms ?? []) : [],
        documentation: request.includeDocumentation ? (config.documentation ?? null) : null
      }))
    return { errorCode: ErrorCode.NONE, errorMessage: null, resourceType, resourceName, configs }
  })
  exchange.complete({ results })
}

function describe(
  { resourceType, resourceName }: Asked,
  broker: Broker,
  caller: Caller
): ReadonlyArray<ConfigAnswer> | Refused {
  if (resourceType === TOPIC) {
    const topic = topicOfResource(resourceName, DESCRIBE, broker, caller)
    if (isRefused(topic)) return topic
    return describedConfigs(topic, broker.admin.defaultsOf(topic.name)).map(
      ({ name, value, source, type, about, synonyms }) => ({
        ...{ name, value, readOnly: false, configSource: source, isSensitive: false, configType: TYPES[type] },
        synonyms,
        documentation: about
      })
    )
  }
  if (!mayDo(broker, caller, DESCRIBE, CLUSTER)) return refusedBy(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
  if (resourceType === BROKER || resourceType === BROKER_LOGGER) {
    const fault = faultOfBroker(resourceName, broker)
    if (fault !== undefined) return fault
    // Of all brokers together nothing was set at run time, and there are no loggers with levels of their own.
    return resourceType === BROKER && resourceName !== "" ? ofBroker(broker, caller) : []
  }
  // Whatever its name, a subscription to metrics has nothing set.
  return resourceType === CLIENT_METRICS ? [] : unservedType(resourceType)
}

function ofBroker(broker: Broker, caller: Caller): ReadonlyArray<ConfigAnswer> {
  const { nodeId, settings, admin, topics } = broker
  // No rule but one for all topics names this one.
  const defaults = admin.defaultsOf("")
  const { logDirectory } = admin
  const { autoCreate } = topics
  const topicConfigs = admin.configsOfRule(defaults)
  const parts = { nodeId, settings, ...caller.advertised, logDirectory, autoCreate, defaults, topicConfigs }
  return brokerConfigs(parts).map(({ name, type, value, default: fallback, about }) => {
    const source = value === fallback ? DEFAULT_CONFIG : STATIC_BROKER
    const synonyms = source === DEFAULT_CONFIG ? [] : [{ name, value, source: STATIC_BROKER }]
    if (fallback !== undefined) synonyms.push({ name, value: fallback, source: DEFAULT_CONFIG })
    const config = { name, value, readOnly: true, configSource: source, isSensitive: false, configType: TYPES[type] }
    return { ...config, synonyms, documentation: about }
  })
}
