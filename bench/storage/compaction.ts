/**
 * A round of compaction over a log whose keys come back, and what it does to appends beside it: how fast it goes when nothing holds it
 * back, and how long commits and the loop take without it, at the default rate, and without a bound.
 */
import {
  CODEC_NONE,
  CompactionRound,
  type CompactionSurvey,
  compress,
  crc32c,
  OffsetMap,
  type Partition,
  ProducerEnds,
  RecordBatchBuilder,
  recordBatch
} from "../../core/mod.ts"
import { makePace } from "../../core/platform/pace.ts"
import { systemClock } from "../../core/platform/system.ts"
import { processCpuMs } from "./counters.ts"
import { type EngineName, type OpenedEngine, openEngine } from "./open-engine.ts"

export interface CompactionScenario {
  readonly engine: EngineName
  readonly mib: number
  readonly codec: number
  /** Bytes a second that the round may move; infinite = as many as it can. 0 = there is no round. */
  readonly bytesPerSecond: number
}

export interface CompactionReport {
  /** Of the log as it was, in MiB a second of the round. */
  readonly mibPerSecond: number
  readonly seconds: number
  readonly leftShare: number
  readonly keys: number
  /** Appends beside it: milliseconds until one is committed. */
  readonly commitP50Ms: number
  readonly commitP99Ms: number
  /** How late a timer of 1 ms is. */
  readonly lateP99Ms: number
  readonly lateMaxMs: number
  /** Share of one core. */
  readonly cpuPercent: number
}

const VALUE_BYTES = 100
const RECORDS_PER_BATCH = 140
/** Each key has so many records. */
const RECORDS_PER_KEY = 5
const KEY = { tenant: 0, topicId: "bench", partition: 0 }
/** Between two appends beside the round; without a round they go on for so long. */
const APPEND_EVERY_MS = 2
const QUIET_MS = 3_000

/** `records` records of the keys from `first` on, of `keys`. */
function batchOf(first: number, records: number, keys: number, codec: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  const value = new Uint8Array(VALUE_BYTES)
  for (let at = first; at < first + records; at++) {
    const key = Buffer.from(`device-${(Math.imul(at, 2_654_435_761) >>> 0) % keys}`)
    for (let byte = 0; byte < VALUE_BYTES; byte++) value[byte] = 97 + ((at * (byte + 7)) % 17)
    builder.append(1_700_000_000_000 + at, key, 0, key.length, value, 0, VALUE_BYTES)
  }
  const plain = builder.bytes.slice(0, builder.finish())
  const { RECORDS_POSITION, ATTRIBUTES_POSITION } = recordBatch
  const packed =
    codec === CODEC_NONE ? plain.subarray(RECORDS_POSITION) : compress(codec, plain.subarray(RECORDS_POSITION))
  const batch = new Uint8Array(Buffer.concat([plain.subarray(0, RECORDS_POSITION), packed]))
  recordBatch.writeInt32(batch, recordBatch.BATCH_LENGTH_POSITION, batch.length - recordBatch.LENGTH_OVERHEAD)
  recordBatch.writeInt16(batch, ATTRIBUTES_POSITION, codec)
  recordBatch.writeInt32(batch, recordBatch.CRC_POSITION, crc32c(batch, ATTRIBUTES_POSITION, batch.length))
  return batch
}

async function fill(partition: Partition, { mib, codec }: CompactionScenario): Promise<void> {
  const bytes = mib * 1_048_576
  const keys = Math.ceil(bytes / (VALUE_BYTES + 25) / RECORDS_PER_KEY)
  const isFull = (): boolean => partition.logEndOffset * (VALUE_BYTES + 25) >= bytes
  for (let at = 0; !isFull(); at += RECORDS_PER_BATCH) {
    const batch = batchOf(at, RECORDS_PER_BATCH, keys, codec)
    while (partition.tryAppendUnsafe(batch, 0, batch.length, RECORDS_PER_BATCH) < 0) {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    if ((at / RECORDS_PER_BATCH) % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  while (partition.highWatermark < partition.logEndOffset) await new Promise((resolve) => setTimeout(resolve, 1))
}

async function survey({ engine }: OpenedEngine): Promise<CompactionSurvey> {
  const found = await engine.compaction?.survey(KEY, { ageMsMax: 0, sizeBytesMax: undefined })
  if (found === undefined) throw new Error("there is nothing to compact")
  return found
}

async function round({ engine }: OpenedEngine, found: CompactionSurvey, bytesPerSecond: number): Promise<number> {
  const { compaction: store } = engine
  if (store === undefined) throw new Error("the engine does not compact")
  const nowMs = systemClock.nowMs()
  const map = new OffsetMap({
    bytesMax: 268_435_456,
    keysExpected: found.dirtyBytes / 64,
    secret: Int32Array.of(1, 2, 3, 4)
  })
  const pace = makePace(bytesPerSecond, systemClock)
  const parts = { store, key: KEY, survey: found, map, producers: new ProducerEnds(nowMs), pace, clock: systemClock }
  const options = { nowMs, tombstoneMs: 1, lagMsMin: 0, isWorth: () => true, isOver: () => false }
  const { outcome, keys } = await new CompactionRound(parts, options).run()
  if (outcome !== "done") throw new Error(`the round ended with "${outcome}"`)
  return keys
}

/** Appends a batch now and then to another partition until `isOver`; how long each took, and how late timers were. */
async function live(partition: Partition, commits: Array<() => void>, isOver: () => boolean) {
  const tookMs: Array<number> = []
  const lateMs: Array<number> = []
  const batch = batchOf(0, 8, 8, CODEC_NONE)
  while (!isOver()) {
    const dueMs = performance.now() + APPEND_EVERY_MS
    await new Promise((resolve) => setTimeout(resolve, APPEND_EVERY_MS))
    lateMs.push(performance.now() - dueMs)
    const startMs = performance.now()
    const base = partition.tryAppendUnsafe(batch, 0, batch.length, 8)
    if (base < 0) continue
    const told = (): void => {
      if (partition.highWatermark <= base) return
      tookMs.push(performance.now() - startMs)
      commits.splice(commits.indexOf(told), 1)
    }
    commits.push(told)
  }
  const sorted = (values: Array<number>): Array<number> => values.sort((one, other) => one - other)
  return { tookMs: sorted(tookMs), lateMs: sorted(lateMs) }
}

const at = (sorted: ReadonlyArray<number>, share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0

export async function runCompaction(scenario: CompactionScenario, directory: string): Promise<CompactionReport> {
  const opened = await openEngine(scenario.engine, directory)
  const partition = await opened.open(KEY, "persistent")
  await fill(partition, scenario)
  await opened.flush()
  const found = await survey(opened)
  const size = partition.sizeBytes
  const commits: Array<() => void> = []
  const beside = await opened.open({ ...KEY, topicId: "live" }, "persistent", () => {
    for (const told of [...commits]) told()
  })
  let isOver = false
  const cpuMs = processCpuMs()
  const startMs = performance.now()
  const measured = live(beside, commits, () => isOver)
  let keys = 0
  if (scenario.bytesPerSecond > 0) keys = await round(opened, found, scenario.bytesPerSecond)
  else await new Promise((resolve) => setTimeout(resolve, QUIET_MS))
  const ms = performance.now() - startMs
  const cpuPercent = ((processCpuMs() - cpuMs) / ms) * 100
  isOver = true
  const { tookMs, lateMs } = await measured
  const left = partition.sizeBytes / size
  await opened.close()
  return {
    mibPerSecond: scenario.bytesPerSecond > 0 ? size / 1_048_576 / (ms / 1_000) : 0,
    seconds: ms / 1_000,
    leftShare: left,
    keys,
    commitP50Ms: at(tookMs, 0.5),
    commitP99Ms: at(tookMs, 0.99),
    lateP99Ms: at(lateMs, 0.99),
    lateMaxMs: lateMs.at(-1) ?? 0,
    cpuPercent
  }
}
