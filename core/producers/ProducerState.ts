/**
 * What a partition remembers of one idempotent producer: its last batches, by which a repeat is known and the next sequence is told.
 *
 * Source: apache/kafka ProducerStateEntry (KIP-98; NUM_BATCHES_TO_RETAIN).
 * Invariants
 *  - Batches lie in the order of their offsets; the producer's epoch is that of the last one.
 *  - Beside the last {@link BATCHES_KEPT} that are committed, all that are not: whichever of those the log loses, the five before
 *    them are here.
 */
import { baseSequence, lastOffsetDelta, maxTimestamp, producerEpoch } from "../log/record-batch.ts"

/** Repeats of so many batches are known: as many as a client may have under way. */
export const BATCHES_KEPT = 5
/** Sequence numbers go from 0 to this, and begin again. */
export const SEQUENCE_MAX = 2_147_483_647

/** Numbers of a batch, side by side. */
const STRIDE = 5
const EPOCH = 0
const FIRST = 1
const LAST = 2
const BASE = 3
const TIMESTAMP = 4

/** One batch that was appended. */
export interface ProducerBatch {
  readonly epoch: number
  readonly firstSequence: number
  readonly lastSequence: number
  readonly baseOffset: number
  /** The batch's largest, ms since 1970: that of its append where the topic's time is. */
  readonly timestamp: number
}

/** The sequence number of a batch's last record. */
export function lastSequenceOf(bytes: Uint8Array, start: number): number {
  const last = baseSequence(bytes, start) + lastOffsetDelta(bytes, start)
  return last > SEQUENCE_MAX ? last - SEQUENCE_MAX - 1 : last
}

/** Whether `next` is the sequence number behind `last`. */
export function isNextSequence(last: number, next: number): boolean {
  return next === (last === SEQUENCE_MAX ? 0 : last + 1)
}

export class ProducerState {
  readonly id: number
  /** When it wrote last, ms since 1970 on the broker's clock; at a start, that of the start. */
  writtenMs: number
  /** It wrote since somebody looked for one to forget. */
  isUsed = true
  /** Batches that are kept. */
  count = 0
  #fields = new Float64Array(STRIDE)
  /** Where no batch is kept: the epoch, and the sequence number before the one that has to come. */
  #restEpoch = -1
  #restSequence = -1

  constructor(id: number, writtenMs: number) {
    this.id = id
    this.writtenMs = writtenMs
  }

  get epoch(): number {
    return this.count === 0 ? this.#restEpoch : this.#at(this.count - 1, EPOCH)
  }

  get lastSequence(): number {
    return this.count === 0 ? this.#restSequence : this.#at(this.count - 1, LAST)
  }

  get lastTimestamp(): number {
    return this.#at(this.count - 1, TIMESTAMP)
  }

  /** One past the last record that is known of; 0 = none is. */
  get endOffset(): number {
    return this.count === 0 ? 0 : this.endOffsetOf(this.count - 1)
  }

  endOffsetOf(index: number): number {
    const records = this.#at(index, LAST) - this.#at(index, FIRST) + 1
    return this.#at(index, BASE) + (records > 0 ? records : records + SEQUENCE_MAX + 1)
  }

  baseOffsetOf(index: number): number {
    return this.#at(index, BASE)
  }

  timestampOf(index: number): number {
    return this.#at(index, TIMESTAMP)
  }

  batch(index: number): ProducerBatch {
    return {
      epoch: this.#at(index, EPOCH),
      firstSequence: this.#at(index, FIRST),
      lastSequence: this.#at(index, LAST),
      baseOffset: this.#at(index, BASE),
      timestamp: this.#at(index, TIMESTAMP)
    }
  }

  /** Which of the last five batches has these numbers; -1 = none. */
  find(epoch: number, firstSequence: number, lastSequence: number): number {
    const oldest = Math.max(0, this.count - BATCHES_KEPT)
    for (let index = this.count - 1; index >= oldest; index--) {
      if (this.#at(index, EPOCH) !== epoch) return -1
      if (this.#at(index, FIRST) === firstSequence && this.#at(index, LAST) === lastSequence) return index
    }
    return -1
  }

  /** Notes the batch at `start`, which was appended at `baseOffset`; what lies below `committed` is not lost any more. */
  append(bytes: Uint8Array, start: number, baseOffset: number, committed: number): void {
    this.#push(
      producerEpoch(bytes, start),
      baseSequence(bytes, start),
      lastSequenceOf(bytes, start),
      baseOffset,
      maxTimestamp(bytes, start)
    )
    this.#forget(committed)
  }

  /** The same of a batch that was kept somewhere. */
  add(batch: ProducerBatch): void {
    this.#push(batch.epoch, batch.firstSequence, batch.lastSequence, batch.baseOffset, batch.timestamp)
  }

  /** Forgets the batches at and above `endOffset`: the log ends there. Where none is left the first of them has to come again. */
  rewind(endOffset: number): void {
    while (this.count > 0 && this.#at(this.count - 1, BASE) >= endOffset) {
      this.count -= 1
      if (this.count === 0) this.expect(this.#at(0, EPOCH), this.#at(0, FIRST))
    }
  }

  /**
   * Of one of which no batch is known: this one was sent, and is not in the log. Those that were sent behind it, and may be under way,
   * must not come before it.
   */
  expect(epoch: number, sequence: number): void {
    this.#restEpoch = epoch
    this.#restSequence = sequence === 0 ? SEQUENCE_MAX : sequence - 1
  }

  #push(epoch: number, first: number, last: number, base: number, timestamp: number): void {
    const at = this.count * STRIDE
    if (at >= this.#fields.length) {
      // Most producers write one batch and no more, or many.
      const grown = new Float64Array(at === STRIDE ? (BATCHES_KEPT + 1) * STRIDE : at * 2)
      grown.set(this.#fields)
      this.#fields = grown
    }
    const fields = this.#fields
    fields[at + EPOCH] = epoch
    fields[at + FIRST] = first
    fields[at + LAST] = last
    fields[at + BASE] = base
    fields[at + TIMESTAMP] = timestamp
    this.count += 1
  }

  /** Forgets batches that five committed ones follow. */
  #forget(committed: number): void {
    let extra = 0
    while (this.count - extra > BATCHES_KEPT && this.endOffsetOf(extra + BATCHES_KEPT) <= committed) extra += 1
    if (extra === 0) return
    this.#fields.copyWithin(0, extra * STRIDE, this.count * STRIDE)
    this.count -= extra
    // A burst that waited for its commit is over.
    const kept = (BATCHES_KEPT + 1) * STRIDE
    if (this.#fields.length > 8 * kept && this.count <= BATCHES_KEPT) this.#fields = this.#fields.slice(0, kept)
  }

  #at(index: number, field: number): number {
    return this.#fields[index * STRIDE + field] ?? 0
  }
}
