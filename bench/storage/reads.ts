/**
 * Reads of a log that is larger than what an engine keeps in memory: from one end to the other, and at random places. "Cold" is what the
 * engine does not have; the operating system's cache is dropped before where that is allowed, and said where it is not.
 */
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import type { Partition } from "../../core/mod.ts"
import { batchOf } from "./batches.ts"
import { diskCounters } from "./counters.ts"
import { type EngineName, openEngine } from "./open-engine.ts"

export interface ReadReport {
  readonly engine: EngineName
  readonly mib: number
  /** The operating system's cache was empty at first. */
  readonly isDropped: boolean
  readonly scanMibPerSecond: number
  readonly againMibPerSecond: number
  readonly diskMib: number
  /** Reads of 64 KiB at random places: p50 and p99 in milliseconds. */
  readonly randomP50Ms: number
  readonly randomP99Ms: number
}

const BATCH_RECORDS = 120
const VALUE_BYTES = 128
const READ_BYTES = 1_048_576
const RANDOM_READS = 500

/** Appends batches until `bytes` are stored, and waits for each of them to be committed. */
export async function fill(partition: Partition, bytes: number): Promise<void> {
  const batches = Array.from({ length: 16 }, (_, seed) => batchOf(BATCH_RECORDS, VALUE_BYTES, seed + 1))
  for (let stored = 0, next = 0; stored < bytes; ) {
    const batch = batches[next % batches.length] as Uint8Array
    if (partition.tryAppendUnsafe(batch, 0, batch.length, BATCH_RECORDS) < 0) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      continue
    }
    stored += batch.length
    next += 1
    if (next % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  while (partition.highWatermark < partition.logEndOffset) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Empties the operating system's cache of files; false where that is not allowed. */
export function dropCaches(): boolean {
  try {
    execFileSync("sync")
    writeFileSync("/proc/sys/vm/drop_caches", "3")
    return true
  } catch {
    return false
  }
}

export async function runReads(engine: EngineName, mib: number, directory: string): Promise<ReadReport> {
  const opened = await openEngine(engine, directory)
  const partition = await opened.open({ tenant: 0, topicId: "bench", partition: 0 }, "persistent")
  await fill(partition, mib * 1_048_576)
  await opened.flush()
  const isDropped = dropCaches()
  const before = diskCounters(directory)
  const scan = await scanned(partition)
  const disk = diskCounters(directory)
  const again = await scanned(partition)
  const times: Array<number> = []
  for (let count = 0; count < RANDOM_READS; count++) {
    const offset = Math.floor((((count * 7_919) % RANDOM_READS) / RANDOM_READS) * partition.highWatermark)
    const start = performance.now()
    await partition.read(offset, 65_536)
    times.push(performance.now() - start)
  }
  times.sort((left, right) => left - right)
  await opened.close()
  return {
    engine,
    mib,
    isDropped,
    scanMibPerSecond: scan,
    againMibPerSecond: again,
    diskMib: (disk.readBytes - before.readBytes) / 1_048_576,
    randomP50Ms: times[Math.floor(times.length / 2)] ?? 0,
    randomP99Ms: times[Math.floor(times.length * 0.99)] ?? 0
  }
}

/** Reads the whole log once; MiB a second. */
async function scanned(partition: Partition): Promise<number> {
  const start = performance.now()
  let bytes = 0
  for (let offset = partition.logStartOffset; offset < partition.highWatermark; ) {
    const piece = partition.readUnsafe(offset, READ_BYTES) ?? (await partition.read(offset, READ_BYTES))
    if (piece.length === 0) throw new Error(`nothing is read at offset ${offset}`)
    bytes += piece.length
    offset = lastOffset(piece) + 1
  }
  return bytes / 1_048_576 / ((performance.now() - start) / 1_000)
}

/** Of the last record in `bytes`, which are whole batches. */
function lastOffset(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let last = 0
  for (let at = 0; at < bytes.length; at += 12 + view.getInt32(at + 8)) {
    last = Number(view.getBigInt64(at)) + view.getInt32(at + 23)
  }
  return last
}
