/**
 * Takes whole stored batches of one partition into an answer, as views of the log's own memory.
 *
 * Invariant: a batch is never cut. The first one of an answer is taken whatever room there is, every other one where it fits.
 * Source: KIP-74.
 */
import { type ReadResult, recordBatch } from "../../../core/mod.ts"
import type { FetchPartition } from "../fetch-sessions/FetchList.ts"
import type { RecordsView } from "../wire/schema.ts"

export interface Taken {
  readonly size: number
  /** All that can be read of the partition was taken. */
  readonly isAll: boolean
}

/**
 * Adds to `wanted.views` what fits in `room` bytes, `reading` first, then what `more` finds from an offset on at once; undefined where it
 * finds nothing at once. `isFirst`: the answer holds no batch yet.
 */
export function takeBatches(
  wanted: FetchPartition,
  reading: ReadResult,
  room: number,
  isFirst: boolean,
  more: (offset: number, sizeMax: number) => ReadResult | undefined
): Taken {
  const { bytes } = reading
  let size = wholeBatches(bytes, room)
  if (size === 0 && isFirst) size = Math.max(0, recordBatch.batchSize(bytes, 0, bytes.length))
  if (size === 0) return { size: 0, isAll: false }
  let last: RecordsView = { bytes, start: 0, end: size }
  wanted.views.push(last)
  // One reading ends where the engine's piece of memory does; what lies in the next piece is as near.
  let next = nextOffset(last)
  let { highWatermark } = reading
  while (next < highWatermark && last.end === last.bytes.length && size < room) {
    const found = more(next, room - size)
    if (found === undefined) break
    const end = wholeBatches(found.bytes, room - size)
    if (end === 0) break
    last = { bytes: found.bytes, start: 0, end }
    wanted.views.push(last)
    size += end
    next = nextOffset(last)
    // The log may have gone on since the first reading: the high watermark that is told covers all that is given.
    wanted.state = found
    highWatermark = found.highWatermark
  }
  return { size, isAll: next >= highWatermark }
}

/** Bytes of the whole batches at the front of `bytes` that fit in `sizeMax`. */
function wholeBatches(bytes: Uint8Array, sizeMax: number): number {
  if (bytes.length <= sizeMax) return bytes.length
  let size = 0
  while (size < bytes.length) {
    const batch = recordBatch.batchSize(bytes, size, bytes.length)
    if (batch < 0 || size + batch > sizeMax) break
    size += batch
  }
  return size
}

/** The offset after the last record of a view. */
function nextOffset({ bytes, start, end }: RecordsView): number {
  let last = start
  for (let position = start; position < end; ) {
    last = position
    const size = recordBatch.batchSize(bytes, position, end)
    if (size < 0) break
    position += size
  }
  return recordBatch.baseOffset(bytes, last) + recordBatch.lastOffsetDelta(bytes, last) + 1
}
