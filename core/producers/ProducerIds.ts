/**
 * Producer ids, each given once: over restarts, shards and nodes. The meta store counts blocks of them; a shard gives out of its own.
 *
 * Source: KIP-730; apache/kafka RPCProducerIdManager, ProducerIdsBlock (blocks of 1,000, the rest of one is lost with its owner).
 * Invariants
 *  - A block is this shard's when the meta store has agreed, and nobody's afterwards.
 *  - Where the meta store does not outlive the process, blocks begin at a place that chance gives: a client that has an id from before
 *    does not meet another one with it.
 */
import { Context, Effect } from "effect"
import { MetaStoreError, type MetaStoreShape } from "../meta/MetaStore.ts"
import type { RandomShape } from "../platform/Random.ts"

/** Ids of a block. */
export const BLOCK_IDS = 1_000
/** `producer-ids`: the first id that nobody has, as decimal text. */
export const PRODUCER_IDS_KEY = "producer-ids"
/** The next block is asked for when so many ids are left. */
const ASK_AT = 100
/** A block that somebody else has taken meanwhile is asked for anew so often. */
const ATTEMPTS_MAX = 100

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export interface ProducerIdsShape {
  /** An id that nobody else gets; fails where the meta store does not answer. */
  readonly next: Effect.Effect<number, MetaStoreError>
}

export class ProducerIds extends Context.Service<ProducerIds, ProducerIdsShape>()(
  "manifold/core/producers/ProducerIds"
) {}

export interface ProducerIdsParts {
  readonly meta: Pick<MetaStoreShape, "get" | "transact">
  readonly random: RandomShape
  /** The meta store outlives the process. */
  readonly isKept: boolean
}

export class ShardProducerIds implements ProducerIdsShape {
  readonly #parts: ProducerIdsParts
  #next = 0
  #end = 0
  /** The block behind the one in use. */
  #spare: number | undefined
  #asking: Promise<void> | undefined

  constructor(parts: ProducerIdsParts) {
    this.#parts = parts
  }

  readonly next: Effect.Effect<number, MetaStoreError> = Effect.suspend(() => {
    const id = this.#take()
    if (id !== undefined) return Effect.succeed(id)
    return Effect.tryPromise({
      try: () => this.#ask(),
      catch: (error) => (error instanceof MetaStoreError ? error : new MetaStoreError({ message: String(error) }))
    }).pipe(Effect.andThen(this.next))
  })

  #take(): number | undefined {
    if (this.#next === this.#end && this.#spare !== undefined) {
      this.#next = this.#spare
      this.#end = this.#spare + BLOCK_IDS
      this.#spare = undefined
    }
    if (this.#next === this.#end) return undefined
    // In time, so that few wait; one that fails is asked for again when it is needed.
    if (this.#end - this.#next <= ASK_AT && this.#spare === undefined) this.#ask().catch(() => {})
    return this.#next++
  }

  /** Settled when there is another block; one question at a time. */
  #ask(): Promise<void> {
    this.#asking ??= Effect.runPromise(this.#reserve(ATTEMPTS_MAX))
      .then((first) => {
        this.#spare = first
      })
      .finally(() => {
        this.#asking = undefined
      })
    return this.#asking
  }

  #reserve(attempts: number): Effect.Effect<number, MetaStoreError> {
    const { meta, random, isKept } = this.#parts
    return Effect.gen({ self: this }, function* () {
      const entry = yield* meta.get(PRODUCER_IDS_KEY)
      const fresh = isKept ? 0 : random.uint32() * BLOCK_IDS
      const first = entry === undefined ? fresh : Number(decoder.decode(entry.value))
      if (!Number.isSafeInteger(first) || first < 0) {
        return yield* new MetaStoreError({ message: `${PRODUCER_IDS_KEY} does not hold a number` })
      }
      const { committed } = yield* meta.transact({
        compare: [{ key: PRODUCER_IDS_KEY, version: entry?.version ?? 0 }],
        writes: [{ key: PRODUCER_IDS_KEY, value: encoder.encode(String(first + BLOCK_IDS)) }]
      })
      if (committed) return first
      if (attempts > 1) return yield* this.#reserve(attempts - 1)
      return yield* new MetaStoreError({ message: "other blocks of producer ids are reserved at the same time" })
    })
  }
}
