/** What the contract suites do with a partition: append and wait for the commit, read wherever it lies, look at the invariants. */
import assert from "node:assert/strict"
import { type Partition, recordBatch } from "../../core/mod.ts"
import { recordsOf } from "./batches.ts"

/** How long a commit may take. */
const COMMIT_MS_MAX = 15_000

/** Appends and waits until the batch is committed; returns the base offset. */
export async function append(partition: Partition, bytes: Uint8Array): Promise<number> {
  const baseOffset = partition.tryAppendUnsafe(bytes, 0, bytes.length, recordBatch.recordCount(bytes, 0))
  assert.ok(baseOffset >= 0, `append was refused: ${baseOffset}`)
  await committed(partition)
  return baseOffset
}

export async function committed(partition: Partition): Promise<void> {
  const startMs = performance.now()
  while (partition.highWatermark < partition.logEndOffset) {
    assert.ok(performance.now() - startMs < COMMIT_MS_MAX, "an append is committed in the end")
    await new Promise((resolve) => setImmediate(resolve))
  }
}

export async function readAt(partition: Partition, offset: number, maxBytes: number): Promise<Uint8Array> {
  return partition.readUnsafe(offset, maxBytes) ?? partition.read(offset, maxBytes)
}

/** Reads from `offset` to the end, piece by piece, as a consumer does. */
export async function readAll(partition: Partition, offset: number, maxBytes = 1_000): Promise<Uint8Array> {
  const pieces: Array<Uint8Array> = []
  for (let next = offset; next < partition.highWatermark; ) {
    const piece = await readAt(partition, next, maxBytes)
    const last = recordsOf(piece).at(-1)
    assert.ok(last !== undefined && last.offset >= next, "a read below the high watermark gives records")
    pieces.push(piece)
    next = last.offset + 1
  }
  return new Uint8Array(Buffer.concat(pieces))
}

export function assertInvariants(partition: Partition): void {
  const { logStartOffset, highWatermark, logEndOffset, leaderEpoch, sizeBytes } = partition
  const text = JSON.stringify({ logStartOffset, highWatermark, logEndOffset, leaderEpoch, sizeBytes })
  assert.ok(logStartOffset >= 0 && logStartOffset <= highWatermark && highWatermark <= logEndOffset, text)
  assert.ok(Number.isSafeInteger(logEndOffset) && leaderEpoch >= 0 && sizeBytes >= 0, text)
}
