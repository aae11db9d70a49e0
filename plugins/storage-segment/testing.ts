/** What tests of this store share: stores on a disk in memory, batches, and a plain model of logs. */
import assert from "node:assert/strict"
import { Effect, Exit, Scope } from "effect"
import {
  type ClockShape,
  type FilesShape,
  type OpenFile,
  type Partition,
  type PartitionEvents,
  type PartitionKey,
  type PartitionLimits,
  type PartReport,
  RecordBatchBuilder,
  recordBatch
} from "../../core/mod.ts"
import { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { systemClock } from "../../core/platform/system.ts"
import { openTestStore, type TestStore, type TestStoreOptions } from "./fakes.ts"
import { inspect } from "./inspect.ts"

export const DIRECTORY = "/store"
export const SEGMENTS = `${DIRECTORY}/segments`
export const UNLIMITED: PartitionLimits = {
  sizeBytesMax: Number.POSITIVE_INFINITY,
  recordsMax: Number.POSITIVE_INFINITY,
  ageMsMax: 0
}
export const QUIET: PartitionEvents = { committed: () => {}, failed: () => {} }

/** Everything cold, everything tiny; checkpoints come when a test says so. */
export const COLD = {
  checkpoint_interval_ms: 3_600_000,
  checkpoint_bytes: 1_000_000_000,
  hot_bytes_max: 0,
  cold_bytes_max: 40_000,
  index_bytes_max: 1_000,
  segment_bytes: 3_000,
  open_files_max: 3
}

/** What waits for a second waits ten milliseconds. */
export const fastClock: ClockShape = {
  ...systemClock,
  after: (delayMs, task) => systemClock.after(delayMs / 100, task)
}

/** A disk in memory whose work is done when the loop turns. */
export function makeDisk(isLossy = false): SimulatedFiles {
  const files = new SimulatedFiles({ trace: () => {}, later: (task) => systemClock.immediate(task) })
  files.isLossy = isLossy
  return files
}

/** Stores that a test has opened, and partitions of them. */
export class Bench {
  readonly #stores: Array<TestStore> = []
  readonly #scope = Scope.makeUnsafe()

  /** A store on a disk in memory. */
  async open(files: SimulatedFiles, changed: TestStoreOptions = {}): Promise<TestStore> {
    await Effect.runPromise(files.ensureWritableDirectory(DIRECTORY))
    const settings = { ...COLD, ...changed.settings }
    const store = await openTestStore(DIRECTORY, {
      clock: fastClock,
      journal: { segmentBytes: 16_384 },
      ...changed,
      files: changed.files ?? files,
      settings
    })
    this.#stores.push(store)
    return store
  }

  partition(store: TestStore, key: PartitionKey, limits = UNLIMITED, events = QUIET): Promise<Partition> {
    const opening = store.engine.open(key, { limits, mode: "persistent", events })
    return Effect.runPromise(Scope.provide(opening, this.#scope))
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.kill()))
    await Effect.runPromise(Scope.close(this.#scope, Exit.void))
  }
}

export const keyOf = (topicId: string, partition = 0): PartitionKey => ({ tenant: 0, topicId, partition })

/** One record of `valueBytes` bytes for each timestamp. */
export function batchOf(timestamps: ReadonlyArray<number>, valueBytes: number, mark = 0): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (const timestamp of timestamps) {
    const value = Uint8Array.from({ length: valueBytes }, (_, at) => (at * 31 + mark * 7) & 255)
    builder.append(timestamp, undefined, 0, 0, value, 0, valueBytes)
  }
  return builder.bytes.slice(0, builder.finish())
}

/** Appends without waiting for the commit; returns what the log has of it. */
export function put(partition: Partition, bytes: Uint8Array): Uint8Array {
  const { leaderEpoch } = partition
  const base = partition.tryAppendUnsafe(bytes, 0, bytes.length, recordBatch.recordCount(bytes, 0))
  assert.ok(base >= 0, `append was refused: ${base}`)
  const stored = bytes.slice()
  recordBatch.writeBaseOffset(stored, 0, base)
  recordBatch.writeLeaderEpoch(stored, 0, leaderEpoch)
  return stored
}

export async function until(holds: () => boolean): Promise<void> {
  const startMs = systemClock.monotonicMs()
  while (!holds()) {
    assert.ok(systemClock.monotonicMs() - startMs < 10_000, "in the end")
    await turned()
  }
}

export async function append(partition: Partition, bytes: Uint8Array): Promise<Uint8Array> {
  const stored = put(partition, bytes)
  await until(() => partition.highWatermark === partition.logEndOffset)
  return stored
}

/** Batches from the one that holds `offset` on to the end of the log. */
export async function readAll(partition: Partition, offset = partition.logStartOffset): Promise<Uint8Array> {
  const pieces: Array<Uint8Array> = []
  for (let next = offset; next < partition.highWatermark; ) {
    const piece = await partition.read(next, 2_000)
    assert.ok(piece.length > 0, `nothing at offset ${next} of ${partition.highWatermark}`)
    let last = 0
    for (let at = 0; at < piece.length; at += recordBatch.batchSize(piece, at, piece.length)) {
      assert.ok(recordBatch.batchSize(piece, at, piece.length) > 0, "a read gives whole batches")
      last = recordBatch.baseOffset(piece, at) + recordBatch.lastOffsetDelta(piece, at) + 1
    }
    assert.ok(last > next, `a read from offset ${next} leads on`)
    pieces.push(piece)
    next = last
  }
  return new Uint8Array(Buffer.concat(pieces))
}

/** What a log has to be: an array of batches. */
export class LogModel {
  batches: Array<Uint8Array> = []
  start = 0
  end = 0

  add(stored: Uint8Array): void {
    this.batches.push(stored)
    this.end = endOf(stored)
  }

  deleteBefore(offset: number): void {
    this.start = Math.max(this.start, Math.min(offset, this.end))
    this.batches = this.batches.filter((batch) => endOf(batch) > this.start)
  }

  truncateTo(offset: number): void {
    const kept = this.batches.filter((batch) => endOf(batch) <= offset)
    const cut = this.batches[kept.length]
    this.batches = kept
    if (cut !== undefined) this.end = recordBatch.baseOffset(cut, 0)
    if (kept.length === 0) this.end = Math.min(this.end, offset)
    this.start = Math.min(this.start, this.end)
  }

  /** Of the batches from the one on that holds `offset`. */
  bytesFrom(offset: number): Uint8Array {
    return new Uint8Array(Buffer.concat(this.batches.filter((batch) => endOf(batch) > offset)))
  }

  get bytes(): number {
    return this.batches.reduce((sum, batch) => sum + batch.length, 0)
  }
}

export function endOf(batch: Uint8Array): number {
  return recordBatch.baseOffset(batch, 0) + recordBatch.lastOffsetDelta(batch, 0) + 1
}

/** Paths of the files of a partition's segments, oldest first. */
export function logsOf(files: SimulatedFiles, id = 1): ReadonlyArray<string> {
  return [...files.names()].filter((name) => name.startsWith(`${SEGMENTS}/${id}/`) && name.endsWith(".log")).sort()
}

/** The loop has turned. */
export function turned(): Promise<void> {
  return new Promise((resolve) => systemClock.immediate(() => resolve()))
}

/** A disk whose files are changed by `change`. */
export const withFiles =
  (change: (file: OpenFile) => Partial<OpenFile>) =>
  (files: SimulatedFiles): FilesShape => ({
    ensureWritableDirectory: (pathname) => files.ensureWritableDirectory(pathname),
    makeDirectory: (pathname) => files.makeDirectory(pathname),
    removeDirectory: (pathname) => files.removeDirectory(pathname),
    readText: (pathname) => files.readText(pathname),
    list: (pathname) => files.list(pathname),
    remove: (pathname) => files.remove(pathname),
    renameUnsafe: (from, to) => files.renameUnsafe(from, to),
    freeBytes: (pathname) => files.freeBytes(pathname),
    syncDirectory: (pathname) => files.syncDirectory(pathname),
    lock: (pathname) => files.lock(pathname),
    openUnsafe: (pathname, mode) => {
      const file = files.openUnsafe(pathname, mode)
      const faithful: OpenFile = {
        pathname,
        sizeUnsafe: () => file.sizeUnsafe(),
        readUnsafe: (...given) => file.readUnsafe(...given),
        read: (...given) => file.read(...given),
        writeUnsafe: (...given) => file.writeUnsafe(...given),
        write: (...given) => file.write(...given),
        truncateUnsafe: (size) => file.truncateUnsafe(size),
        sync: () => file.sync(),
        close: () => file.close()
      }
      return { ...faithful, ...change(file) }
    }
  })

/** Partitions of which everything lies in segments, and nothing in memory. */
export interface Stored {
  readonly files: SimulatedFiles
  readonly store: TestStore
  readonly partitions: ReadonlyArray<Partition>
  /** What each of them holds. */
  readonly batches: ReadonlyArray<ReadonlyArray<Uint8Array>>
}

/** Appends `count` batches to each of the partitions "0", "1" and so on, and puts them away. */
export async function storeBatches(
  bench: Bench,
  files: SimulatedFiles,
  partitionCount: number,
  count: number,
  changed: TestStoreOptions = {}
): Promise<Stored> {
  const store = await bench.open(files, changed)
  const partitions: Array<Partition> = []
  const batches: Array<Array<Uint8Array>> = []
  for (let at = 0; at < partitionCount; at++) {
    const partition = await bench.partition(store, keyOf(String(at)))
    partitions.push(partition)
    const own: Array<Uint8Array> = []
    for (let each = 0; each < count; each++) own.push(put(partition, batchOf([each * 10, each * 10 + 1], 100, each)))
    batches.push(own)
    await until(() => partition.highWatermark === partition.logEndOffset)
  }
  await store.store.checkpoints.flush()
  return { files, store, partitions, batches }
}

/** The same partitions after a kill. */
export async function reopened(bench: Bench, before: Stored, changed: TestStoreOptions = {}): Promise<Stored> {
  await before.store.kill()
  const store = await bench.open(before.files, changed)
  const partitions: Array<Partition> = []
  for (const at of before.partitions.keys()) partitions.push(await bench.partition(store, keyOf(String(at))))
  return { ...before, store, partitions }
}

/** What a read fails with, or "" where it does not. */
export async function refusalOf(read: Promise<unknown>): Promise<string> {
  try {
    await read
    return ""
  } catch (error) {
    return String(error)
  }
}

/** Lines of a store's log about damage. */
export const damageOf = ({ lines }: TestStore): ReadonlyArray<string> =>
  lines.filter((line) => /damaged here/.test(line))

/** What `storage verify` is told of a store's segments. */
export async function verified(
  files: SimulatedFiles,
  pace: (bytes: number) => Promise<void> = () => Promise.resolve()
): Promise<PartReport> {
  const request = { depth: "verify", store: 0, directory: DIRECTORY, files, pace } as const
  const [report] = await Effect.runPromise(inspect({}, request))
  assert.ok(report !== undefined, "there are segments")
  return report
}

/** The same of what is damaged, a line each. */
export async function damagesOf(files: SimulatedFiles): Promise<ReadonlyArray<string>> {
  return (await verified(files)).damage.map(({ pathname, position, message }) => `${pathname}:${position}: ${message}`)
}
