/**
 * The quotas of clients as the meta store has them, and what clients on this shard have used of them.
 *
 * A quota is a node's. Each shard gives out its share of it, one part in as many as there are shards: a client that has connections to all
 * of them gets all of it.
 *
 * Source: apache/kafka ClientQuotaManager, QuotaConfig; KIP-13, KIP-219.
 */
import type { MetaChange } from "../../../core/mod.ts"
import { ANONYMOUS, candidatesOf, entityOfKey, type QuotaEntity, quotaKey } from "./quota-entity.ts"
import { RateBuckets } from "./RateBuckets.ts"

export const PRODUCER_BYTE_RATE = "producer_byte_rate"
export const CONSUMER_BYTE_RATE = "consumer_byte_rate"
/** What a quota may be of: whether it is a whole number. The last two are kept and bound nothing. */
export const QUOTA_KEYS: ReadonlyMap<string, boolean> = new Map([
  [PRODUCER_BYTE_RATE, true],
  [CONSUMER_BYTE_RATE, true],
  ["request_percentage", false],
  ["controller_mutation_rate", false]
])
/** Entities that have quotas, on a node. */
export const QUOTA_ENTITIES_MAX = 10_000

export type QuotaValues = Readonly<Record<string, number>>

export interface QuotaEntry {
  readonly entity: QuotaEntity
  readonly values: QuotaValues
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

export class ClientQuotas {
  readonly #shards: number
  readonly #entries = new Map<string, QuotaEntry>()
  readonly #produced = new RateBuckets()
  readonly #fetched = new RateBuckets()

  constructor(shards: number) {
    this.#shards = shards
  }

  /** Entities that have quotas. */
  get size(): number {
    return this.#entries.size
  }

  all(): Iterable<QuotaEntry> {
    return this.#entries.values()
  }

  /** Takes over what the meta store says. */
  changed({ key, value }: Pick<MetaChange, "key" | "value">): void {
    if (value === undefined) this.#entries.delete(key)
    else this.#entries.set(key, { entity: entityOfKey(key), values: decodeQuota(value) })
  }

  /** Counts bytes of a Produce request; returns for how many milliseconds its connection is not read. */
  produced(user: string, clientId: string, bytes: number, nowMs: number): number {
    return this.#take(this.#produced, PRODUCER_BYTE_RATE, user, clientId, bytes, nowMs)
  }

  /** The same for the records of an answer to Fetch. */
  fetched(user: string, clientId: string, bytes: number, nowMs: number): number {
    return this.#take(this.#fetched, CONSUMER_BYTE_RATE, user, clientId, bytes, nowMs)
  }

  #take(buckets: RateBuckets, key: string, user: string, clientId: string, bytes: number, nowMs: number): number {
    if (this.#entries.size === 0) return 0
    for (const [entity, bucket] of candidatesOf(user === "" ? ANONYMOUS : user, clientId)) {
      const rate = this.#entries.get(quotaKey(entity))?.values[key]
      if (rate !== undefined) return buckets.take(bucket, rate / this.#shards, bytes, nowMs)
    }
    return 0
  }
}

/** What stands under the key of an entity. */
export function encodeQuota(values: QuotaValues): Uint8Array {
  return encoder.encode(JSON.stringify(values))
}

export function decodeQuota(value: Uint8Array): QuotaValues {
  return JSON.parse(decoder.decode(value)) as QuotaValues
}
