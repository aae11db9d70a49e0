/**
 * For how long a connection is not read because of what it asked for: the bytes of a Produce request, the records of an answer to Fetch.
 * The answer goes out at once and says so, and the connection is mute for that time, whether or not its client keeps to it.
 *
 * An answer to Fetch that takes more than there is goes out with its records; Kafka sends an empty one instead, and the same later.
 * Source: apache/kafka ClientQuotaManager, KafkaApis.handleFetchRequest; KIP-219.
 */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import { fetch, produce } from "../wire/apis.ts"
import type { RecordsSource, ResponseOf } from "../wire/schema.ts"

/** Counts what an exchange takes; 0 where it is in no quota. */
export function throttleMsOf(exchange: Exchange, broker: Broker): number {
  const { quotas, clock } = broker
  if (quotas.size === 0) return 0
  const { user, clientIdentifier } = exchange.caller.principal
  const { key } = exchange.api
  if (key === produce.key) {
    return quotas.produced(user, clientIdentifier, exchange.requestBytes, clock.monotonicMs())
  }
  if (key !== fetch.key || exchange.response === undefined) return 0
  const bytes = fetchedBytes(exchange.response as ResponseOf<typeof fetch>)
  return bytes === 0 ? 0 : quotas.fetched(user, clientIdentifier, bytes, clock.monotonicMs())
}

function fetchedBytes({ responses = [] }: ResponseOf<typeof fetch>): number {
  let bytes = 0
  for (const { partitions } of responses) {
    for (const { records } of partitions) if (records !== null && records !== undefined) bytes += sizeOf(records)
  }
  return bytes
}

function sizeOf(records: RecordsSource): number {
  if (!Array.isArray(records))
    return (records as { start: number; end: number }).end - (records as { start: number }).start
  return records.reduce((sum, { start, end }) => sum + end - start, 0)
}
