/**
 * ListConfigResources: what configurations may be asked for. Version 0 lists client metrics alone, of which there are none.
 *
 * Source: apache/kafka KafkaApis.handleListConfigResources; KIP-1142.
 */
import { DESCRIBE } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { listConfigResources } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { CLUSTER } from "./authorized-operations.ts"
import { BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC } from "./config-resources.ts"
import { mayDo } from "./topic-access.ts"

const ALL: ReadonlyArray<number> = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC]
const METRICS_ALONE_BELOW = 1

export function handleListConfigResources(
  exchange: Exchange<typeof listConfigResources>,
  request: RequestOf<typeof listConfigResources>,
  broker: Broker
): void {
  const { caller, version } = exchange
  const refused = (errorCode: number): void => {
    exchange.complete({ errorCode: broker.counts.error(errorCode), configResources: [] })
  }
  if (!mayDo(broker, caller, DESCRIBE, CLUSTER)) {
    refused(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    return
  }
  if (request.resourceTypes.some((type) => !ALL.includes(type))) {
    refused(ErrorCode.UNSUPPORTED_VERSION)
    return
  }
  const asked = request.resourceTypes.length === 0 ? ALL : ALL.filter((type) => request.resourceTypes.includes(type))
  const types = version < METRICS_ALONE_BELOW ? [CLIENT_METRICS] : asked
  const node = String(broker.nodeId)
  const configResources = types.flatMap((resourceType) => {
    if (resourceType === BROKER || resourceType === BROKER_LOGGER) return [{ resourceName: node, resourceType }]
    if (resourceType !== TOPIC) return []
    const topics = broker.topics
      .list(caller.principal.tenant)
      .filter(({ name }) => mayDo(broker, caller, DESCRIBE, name))
    return topics.map(({ name }) => ({ resourceName: name, resourceType }))
  })
  exchange.complete({ errorCode: ErrorCode.NONE, configResources })
}
