/**
 * Which batches are the last of a producer that may go on: their headers stay, for the sequence number that its next batch has to follow.
 *
 * Who keeps the state of producers says where each has its last batch. Where nobody does it is taken from the log: of a producer that wrote
 * within {@link PRODUCER_LIFE_MS} every batch counts as its last, unless what came since the last round has a later one. That keeps more than
 * it must, never less; what it keeps too much goes in a later round.
 *
 * Source: Apache Kafka, Cleaner.checkBatchRetention; producer.id.expiration.ms.
 */
import { endOffsetOf } from "../log/partition-operations.ts"
import * as recordBatch from "../log/record-batch.ts"

export const PRODUCER_LIFE_MS = 86_400_000
/** Producers that are told apart; batches of others count as their last. */
const PRODUCERS_MAX = 100_000

/** One past the last offset of each live producer of a partition, by its producer id. */
export type KnownProducers = ReadonlyMap<number, number>

export class ProducerEnds {
  readonly #known: KnownProducers | undefined
  readonly #nowMs: number
  readonly #seen = new Map<number, number>()
  #isOver = false

  constructor(nowMs: number, known?: KnownProducers) {
    this.#nowMs = nowMs
    this.#known = known
  }

  /** A batch of what came since the last round, in the order of offsets. */
  see(bytes: Uint8Array, start: number): void {
    if (this.#known !== undefined || this.#isOver) return
    const id = recordBatch.producerId(bytes, start)
    if (id < 0 || (this.#seen.size >= PRODUCERS_MAX && !this.#seen.has(id))) return
    this.#seen.set(id, endOffsetOf(bytes, start))
  }

  /** All was seen. */
  end(): void {
    this.#isOver = true
  }

  /** Whether the header of this batch has to stay. */
  isLast(bytes: Uint8Array, start: number): boolean {
    const id = recordBatch.producerId(bytes, start)
    if (id < 0) return false
    const end = endOffsetOf(bytes, start)
    if (this.#known !== undefined) return this.#known.get(id) === end
    if (recordBatch.maxTimestamp(bytes, start) < this.#nowMs - PRODUCER_LIFE_MS) return false
    return (this.#seen.get(id) ?? end) <= end
  }
}
