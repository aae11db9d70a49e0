/**
 * The rows that say what a partition remembers of its idempotent producers, byte by byte: docs/formats/state.md, "Producer rows".
 *
 * Invariants
 *  - A row holds what the batches below its offset say, and nothing of those above.
 *  - A partition whose log outlives the process has a row before the first batch of such a producer is in the log.
 */
import { PRODUCERS_PREFIX } from "../kv/key-prefixes.ts"
import { ByteReader, ByteWriter } from "../link/bytes.ts"
import { type PartitionKey, StorageError, Unusable } from "../log/Engines.ts"
import { partitionRowKey } from "../log/offset-rows.ts"
import type { PartitionProducers } from "./PartitionProducers.ts"
import { BATCHES_KEPT, ProducerState } from "./ProducerState.ts"

/** First byte of every value; another one is a form that this version does not know. */
const ROW_FORMAT = 1
const HEAD_BYTES = 13
const PRODUCER_BYTES = 17
const BATCH_BYTES = 28

export interface ProducerRow {
  /** What lies in the log from here on is not in the row. */
  readonly offset: number
  readonly producers: ReadonlyArray<ProducerState>
}

export function producersKey(key: PartitionKey): Uint8Array {
  return partitionRowKey(PRODUCERS_PREFIX, key)
}

/** What is known of the batches below `offset`. */
export function encodeProducers(producers: PartitionProducers, offset: number): Uint8Array {
  const writer = new ByteWriter()
  writer.uint8(ROW_FORMAT)
  writer.uint53(offset)
  const countAt = writer.length
  writer.uint32(0)
  let count = 0
  for (const state of producers.all()) {
    let end = state.count
    while (end > 0 && state.baseOffsetOf(end - 1) >= offset) end -= 1
    if (end === 0) continue
    const first = Math.max(0, end - BATCHES_KEPT)
    writer.uint53(state.id)
    writer.int64(state.writtenMs)
    writer.uint8(end - first)
    for (let index = first; index < end; index++) {
      const { epoch, firstSequence, lastSequence, baseOffset, timestamp } = state.batch(index)
      writer.uint32(epoch)
      writer.uint32(firstSequence)
      writer.uint32(lastSequence)
      writer.uint53(baseOffset)
      writer.int64(timestamp)
    }
    count += 1
  }
  writer.setUint32(countAt, count)
  return writer.bytes.slice(0, writer.length)
}

/** Throws {@link StorageError} where the row is of a newer release, or damaged. */
export function decodeProducers(value: Uint8Array): ProducerRow {
  if (value[0] !== ROW_FORMAT || value.length < HEAD_BYTES) {
    throw unreadable(`has form ${value[0] ?? "none"} and ${value.length} bytes; this version reads form ${ROW_FORMAT}`)
  }
  const reader = new ByteReader().reset(value, 1, value.length)
  const offset = reader.uint53()
  const count = reader.uint32()
  const producers: Array<ProducerState> = []
  for (let index = 0; index < count; index++) {
    if (value.length - reader.position < PRODUCER_BYTES) throw unreadable("ends within a producer")
    const state = new ProducerState(reader.uint53(), reader.int64())
    const batches = reader.uint8()
    if (batches === 0 || value.length - reader.position < batches * BATCH_BYTES) throw unreadable("ends within a batch")
    for (let each = 0; each < batches; each++) {
      state.add({
        epoch: reader.uint32(),
        firstSequence: reader.uint32(),
        lastSequence: reader.uint32(),
        baseOffset: reader.uint53(),
        timestamp: reader.int64()
      })
    }
    producers.push(state)
  }
  if (reader.position !== value.length) throw unreadable("has bytes behind its last producer")
  return { offset, producers }
}

function unreadable(what: string): StorageError {
  return new StorageError({ engine: "journal", reason: new Unusable({ message: `the row of its producers ${what}` }) })
}
