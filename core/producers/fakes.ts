/** For tests: batches of idempotent producers, and a model of what Apache's brokers remember of them. */

import { crc32c } from "../log/crc32c.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import * as recordBatch from "../log/record-batch.ts"

export interface BatchFacts {
  readonly id: number
  readonly epoch?: number
  readonly sequence: number
  readonly records?: number
  readonly timestamp?: number
  /** Of the first record; the others count on from it. Else each record's value is its sequence number. */
  readonly value?: string
}

/** A batch as an idempotent producer sends it. */
export function producerBatch({
  id,
  epoch = 0,
  sequence,
  records = 1,
  timestamp = 1_000,
  value
}: BatchFacts): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (let index = 0; index < records; index++) {
    const text = new TextEncoder().encode(value ?? String(sequence + index))
    builder.append(timestamp, undefined, 0, 0, text, 0, text.length)
  }
  const bytes = builder.bytes.slice(0, builder.finish())
  recordBatch.writeInt16(bytes, recordBatch.ATTRIBUTES_POSITION, 0)
  recordBatch.writeInt64(bytes, recordBatch.PRODUCER_ID_POSITION, id)
  recordBatch.writeInt16(bytes, recordBatch.PRODUCER_EPOCH_POSITION, epoch)
  recordBatch.writeInt32(bytes, recordBatch.BASE_SEQUENCE_POSITION, sequence)
  recordBatch.writeInt32(bytes, recordBatch.CRC_POSITION, crc32c(bytes, recordBatch.ATTRIBUTES_POSITION, bytes.length))
  return bytes
}

export type Outcome = "next" | "out-of-order" | "old-epoch" | { readonly repeats: number }

interface ModelBatch {
  readonly id: number
  readonly epoch: number
  readonly first: number
  readonly last: number
  readonly base: number
}

/** Everything that was ever appended; what a broker would remember of it is worked out anew each time. */
export class ProducerModel {
  batches: Array<ModelBatch> = []
  end = 0
  /** The first batches of producers that were lost with all that they sent. */
  readonly expected = new Map<number, ModelBatch>()

  check(id: number, epoch: number, first: number, records: number): Outcome {
    const own = this.batches.filter((batch) => batch.id === id)
    const newest = own.at(-1)
    if (newest === undefined) {
      const expected = this.expected.get(id)
      if (expected === undefined || (epoch === expected.epoch && first === expected.first)) return "next"
      if (epoch < expected.epoch) return "old-epoch"
      return epoch > expected.epoch && first === 0 ? "next" : "out-of-order"
    }
    const last = Number((BigInt(first) + BigInt(records) - 1n) % (1n << 31n))
    const repeated = own
      .slice(-5)
      .find(
        (batch) => batch.epoch === newest.epoch && batch.epoch === epoch && batch.first === first && batch.last === last
      )
    if (repeated !== undefined) return { repeats: repeated.base }
    if (epoch < newest.epoch) return "old-epoch"
    if (epoch > newest.epoch) return first === 0 ? "next" : "out-of-order"
    return Number((BigInt(newest.last) + 1n) % (1n << 31n)) === first ? "next" : "out-of-order"
  }

  append(id: number, epoch: number, first: number, records: number): void {
    const last = Number((BigInt(first) + BigInt(records) - 1n) % (1n << 31n))
    this.batches.push({ id, epoch, first, last, base: this.end })
    this.end += records
  }

  /** The log ends at `end`. */
  cut(end: number): void {
    const kept = this.batches.filter(({ base }) => base < end)
    for (const batch of this.batches.toReversed()) {
      if (!kept.some(({ id }) => id === batch.id)) this.expected.set(batch.id, batch)
    }
    this.batches = kept
    this.end = end
  }
}
