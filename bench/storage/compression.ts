/**
 * Messages gathered into batches and appended as fast as they are committed, with and without compression. How many messages one turn of the
 * loop brings decides how large a batch is, and so what compression gains.
 */

import { Message } from "../../core/ingress/Message.ts"
import { PartitionLog } from "../../core/log/PartitionLog.ts"
import { BatchCompressor, type Compression } from "../../core/mod.ts"
import { systemClock } from "../../core/platform/system.ts"
import { TurnLoop } from "../../core/platform/Turn.ts"
import { diskCounters, processCpuMs } from "./counters.ts"
import { type EngineName, openEngine } from "./open-engine.ts"

export interface CompressionScenario {
  readonly engine: EngineName
  readonly compression: Compression
  readonly messagesPerTurn: number
  readonly seconds: number
}

export interface CompressionReport {
  readonly recordsPerSecond: number
  /** Bytes of stored batches for each record. */
  readonly bytesPerRecord: number
  /** Bytes of batches before compression by bytes of stored ones. */
  readonly ratio: number
  /** Bytes written to the disk for each record. */
  readonly diskBytesPerRecord: number
  readonly cpuMicrosPerRecord: number
}

/** Records that are appended and not committed, at most. */
const UNCOMMITTED_MAX = 50_000
/** Records between two turns of the real loop. */
const LOOP_RECORDS = 2_000
const PAYLOADS = 4_096

/** Readings of 50 devices, as JSON of 114 B on average: most of a message is in the one before it, its figures are not. */
function makePayloads(): ReadonlyArray<Uint8Array> {
  const encoder = new TextEncoder()
  let state = 1
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state >>> 8) % below
  }
  return Array.from({ length: PAYLOADS }, (_, index) =>
    encoder.encode(
      JSON.stringify({
        device: `sensor-${1_000 + next(50)}`,
        sequence: 4_711_000 + index,
        temperature: 15 + next(1_500) / 100,
        humidity: 30 + next(4_000) / 100,
        battery: 3 + next(1_000) / 1_000,
        state: next(20) === 0 ? "alarm" : "ok"
      })
    )
  )
}

export async function runCompression(scenario: CompressionScenario, directory: string): Promise<CompressionReport> {
  const { engine, compression, messagesPerTurn, seconds } = scenario
  const opened = await openEngine(engine, directory)
  let log: PartitionLog | undefined
  const partition = await opened.open({ tenant: 0, topicId: "bench", partition: 0 }, "persistent", () =>
    log?.committed()
  )
  const named = { tenant: 0, name: "bench", id: "bench", partitions: 1, engine, origin: "manifest" } as const
  const compressor = new BatchCompressor()
  const parts = { clock: systemClock, turn: new TurnLoop(systemClock), isJournaled: true, compressor }
  log = new PartitionLog({ ...named, mode: "persistent", compression }, 0, partition, parts)
  const payloads = makePayloads()
  const message = new Message()
  message.topic = new TextEncoder().encode("sites/north/readings")
  message.topicEnd = message.topic.length
  message.qos = 1
  message.timestamp = Date.UTC(2026, 0, 1)
  let taken = 0
  const run = async (ms: number): Promise<void> => {
    const endMs = performance.now() + ms
    while (performance.now() < endMs) {
      const until = Math.min(taken + LOOP_RECORDS, partition.highWatermark + UNCOMMITTED_MAX)
      while (taken < until) {
        for (let each = 0; each < messagesPerTurn; each++) {
          const payload = payloads[taken % PAYLOADS] as Uint8Array
          message.payload = payload
          message.payloadEnd = payload.length
          if (log.takeUnsafe(message) < 0) throw new Error("a message was refused")
          taken += 1
        }
        // As the end of a turn does.
        if (log.seal() < 0) throw new Error("a batch was refused")
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await run(1_000)
  const before = { records: partition.highWatermark, disk: diskCounters(directory), cpuMs: processCpuMs() }
  const startMs = performance.now()
  await run(seconds * 1_000)
  const ms = performance.now() - startMs
  const records = partition.highWatermark - before.records
  const cpuMs = processCpuMs() - before.cpuMs
  const diskBytes = diskCounters(directory).writtenBytes - before.disk.writtenBytes
  const bytesPerRecord = partition.sizeBytes / partition.logEndOffset
  log.close()
  await opened.close()
  const { inputBytes, outputBytes } = compressor.counts
  return {
    recordsPerSecond: (records / ms) * 1_000,
    bytesPerRecord,
    ratio: compression === "none" ? 1 : inputBytes / outputBytes,
    diskBytesPerRecord: diskBytes / records,
    cpuMicrosPerRecord: (cpuMs * 1_000) / records
  }
}
