/**
 * Appends to one or many partitions as fast as they are committed: a bounded number of bytes is on its way, what comes in one turn of the
 * loop is committed together. Bytes on the disk and flushes are the kernel's counts.
 */
import type { Mode, Partition } from "../../core/mod.ts"
import { batchOf } from "./batches.ts"
import { diskCounters, processCpuMs } from "./counters.ts"
import { type EngineName, openEngine } from "./open-engine.ts"

export interface AppendScenario {
  readonly engine: EngineName
  readonly mode: Mode
  readonly partitions: number
  readonly valueBytes: number
  readonly recordsPerBatch: number
  readonly seconds: number
}

export interface AppendReport extends AppendScenario {
  readonly recordsPerSecond: number
  readonly mibPerSecond: number
  readonly flushesPerSecond: number
  /** Bytes written to the disk for each byte of batches. */
  readonly amplification: number
  /** CPU of the whole process, one core being 100. */
  readonly cpuPercent: number
  /** How late the loop was, of ticks of 1 ms: the 99th percentile and the most. */
  readonly lateP99Ms: number
  readonly lateMaxMs: number
  readonly refused: number
}

/** Bytes that are appended and not committed, at most. */
const UNCOMMITTED_BYTES_MAX = 8_388_608
/** Bytes that are appended in one turn of the loop. */
const TURN_BYTES = 524_288

export async function runAppends(scenario: AppendScenario, directory: string): Promise<AppendReport> {
  const { engine, mode, partitions: count, valueBytes, recordsPerBatch, seconds } = scenario
  const opened = await openEngine(engine, directory)
  const partitions: Array<Partition> = []
  for (let partition = 0; partition < count; partition++) {
    partitions.push(await opened.open({ tenant: 0, topicId: "bench", partition }, mode))
  }
  const batches = Array.from({ length: 16 }, (_, seed) => batchOf(recordsPerBatch, valueBytes, seed + 1))
  const batchBytes = batches[0]?.length ?? 0
  const late: Array<number> = []
  let appended = 0
  let refused = 0
  const committed = (): number => partitions.reduce((sum, { highWatermark }) => sum + highWatermark, 0)
  const run = async (ms: number): Promise<void> => {
    const endMs = performance.now() + ms
    let next = 0
    while (performance.now() < endMs) {
      const open = ((appended - committed()) / recordsPerBatch) * batchBytes
      let room = Math.min(TURN_BYTES, UNCOMMITTED_BYTES_MAX - open)
      for (; room > 0; room -= batchBytes) {
        const partition = partitions[next % count]
        const batch = batches[next % batches.length]
        if (partition === undefined || batch === undefined) break
        if (partition.tryAppendUnsafe(batch, 0, batch.length, recordsPerBatch) < 0) {
          refused += 1
          await new Promise((resolve) => setTimeout(resolve, 1))
          break
        }
        appended += recordsPerBatch
        next += 1
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await run(1_000)
  let lastTick = performance.now()
  const ticks = setInterval(() => {
    const now = performance.now()
    late.push(Math.max(0, now - lastTick - 1))
    lastTick = now
  }, 1)
  const before = { disk: diskCounters(directory), cpuMs: processCpuMs(), committed: committed(), ms: performance.now() }
  await run(seconds * 1_000)
  const ms = performance.now() - before.ms
  const records = committed() - before.committed
  clearInterval(ticks)
  const cpuMs = processCpuMs() - before.cpuMs
  const disk = diskCounters(directory)
  await opened.close()
  const bytes = (records / recordsPerBatch) * batchBytes
  late.sort((left, right) => left - right)
  return {
    ...scenario,
    recordsPerSecond: (records / ms) * 1_000,
    mibPerSecond: ((bytes / ms) * 1_000) / 1_048_576,
    flushesPerSecond: ((disk.flushes - before.disk.flushes) / ms) * 1_000,
    amplification: (disk.writtenBytes - before.disk.writtenBytes) / bytes,
    cpuPercent: (cpuMs / ms) * 100,
    lateP99Ms: late[Math.floor(late.length * 0.99)] ?? 0,
    lateMaxMs: late.at(-1) ?? 0,
    refused
  }
}
