/** `npm run bench -- storage [append|compaction|compression|read|recovery|topics]`: what the engines do without a protocol in front of them. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CODEC_GZIP, CODEC_NONE, CODEC_ZSTD, codecNames } from "../../core/mod.ts"
import type { Build } from "../brokers/manifold.ts"
import { machineLines } from "../machine.ts"
import { medianOf, spreadOf } from "../statistics.ts"
import { type AppendScenario, runAppends } from "./appends.ts"
import { runCompaction } from "./compaction.ts"
import { type CompressionReport, type CompressionScenario, runCompression } from "./compression.ts"
import { ENGINES } from "./open-engine.ts"
import { runReads } from "./reads.ts"
import { runRecovery } from "./recovery.ts"
import { runTopics } from "./topics.ts"

export interface StorageBenchOptions {
  /** Below which each run has a fresh folder; undefined = the system's for temporary files. */
  readonly directory: string | undefined
  readonly seconds: number
  readonly isQuick: boolean
  /** Of the broker, where one is started. */
  readonly build: Build
}

export async function runStorage(names: ReadonlyArray<string>, options: StorageBenchOptions): Promise<void> {
  for (const line of machineLines()) console.log(line)
  const isWanted = (name: string): boolean => names.length === 0 || names.some((wanted) => name.startsWith(wanted))
  if (isWanted("append")) await appends(options)
  if (isWanted("compaction")) await compaction(options)
  if (isWanted("compression")) await compressions(options)
  if (isWanted("read")) await reads(options)
  if (isWanted("recovery")) await recovery(options)
  if (isWanted("topics")) await topics(options)
}

/** Runs `work` with a fresh folder, which is removed afterwards. */
export async function withFolder<Value>(
  directory: string | undefined,
  work: (folder: string) => Promise<Value>
): Promise<Value> {
  const folder = mkdtempSync(join(directory ?? tmpdir(), "manifold-storage-"))
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function appends({ directory, seconds, isQuick }: StorageBenchOptions): Promise<void> {
  console.log("\nappend: batches of 16 KiB; at most 8 MiB are not committed")
  console.log(
    "engine   mode        partitions  value B  records/s  MiB/s  flushes/s  written/batches  cpu %  late p99, max ms  refused"
  )
  for (const valueBytes of isQuick ? [128] : [128, 1_024]) {
    for (const partitions of isQuick ? [1] : [1, 1_000]) {
      for (const mode of ["hybrid", "persistent"] as const) {
        for (const engine of ENGINES) {
          const recordsPerBatch = Math.floor(16_384 / (valueBytes + 8))
          const scenario: AppendScenario = { engine, mode, partitions, valueBytes, recordsPerBatch, seconds }
          const report = await withFolder(directory, (folder) => runAppends(scenario, folder))
          console.log(
            [
              engine.padEnd(8),
              mode.padEnd(11),
              String(partitions).padStart(10),
              String(valueBytes).padStart(8),
              Math.round(report.recordsPerSecond).toLocaleString("en").padStart(10),
              report.mibPerSecond.toFixed(1).padStart(6),
              report.flushesPerSecond.toFixed(0).padStart(10),
              report.amplification.toFixed(2).padStart(16),
              report.cpuPercent.toFixed(0).padStart(6),
              `${report.lateP99Ms.toFixed(1)}, ${report.lateMaxMs.toFixed(1)}`.padStart(17),
              String(report.refused).padStart(8)
            ].join(" ")
          )
        }
      }
    }
  }
}

async function compaction({ directory, isQuick }: StorageBenchOptions): Promise<void> {
  const mib = isQuick ? 8 : 128
  console.log(
    `\ncompaction: a log of ${mib} MiB, records of 125 B, five of each key; a batch every 2 ms beside it, persistent`
  )
  console.log(
    "engine   codec  bound MiB/s  round s  MiB/s of the log  left  keys       commit p50, p99 ms  late p99, max ms  MiB a CPU s"
  )
  const rates = [0, 33_554_432, Number.POSITIVE_INFINITY]
  const codecs = isQuick ? [CODEC_NONE] : [CODEC_NONE, CODEC_ZSTD, CODEC_GZIP]
  for (const codec of codecs) {
    for (const bytesPerSecond of codec === CODEC_NONE ? rates : rates.slice(-1)) {
      for (const engine of ENGINES) {
        const report = await withFolder(directory, (folder) =>
          runCompaction({ engine, mib, codec, bytesPerSecond }, folder)
        )
        const bound = bytesPerSecond === 0 ? "no round" : (bytesPerSecond / 1_048_576).toFixed(0)
        console.log(
          [
            engine.padEnd(8),
            (codecNames[codec] ?? "").padEnd(5),
            bound.padStart(12),
            report.seconds.toFixed(1).padStart(8),
            report.mibPerSecond.toFixed(1).padStart(17),
            report.leftShare.toFixed(2).padStart(5),
            report.keys.toLocaleString("en").padStart(9),
            `${report.commitP50Ms.toFixed(2)}, ${report.commitP99Ms.toFixed(1)}`.padStart(20),
            `${report.lateP99Ms.toFixed(1)}, ${report.lateMaxMs.toFixed(1)}`.padStart(17),
            (report.mibPerSecond / (report.cpuPercent / 100)).toFixed(0).padStart(12)
          ].join(" ")
        )
      }
    }
  }
}

/** Rounds alternate, so that what else the machine does meets both. */
async function compressions({ directory, seconds, isQuick }: StorageBenchOptions): Promise<void> {
  const rounds = isQuick ? 1 : 3
  console.log(
    `\ncompression: engine segment, persistent, JSON of 114 B in one partition; medians of ${rounds} rounds in turns`
  )
  console.log("messages/turn  compression  records/s  spread  bytes/record  ratio  disk bytes/record  cpu us/record")
  for (const messagesPerTurn of isQuick ? [250] : [1, 10, 250]) {
    const reports = { none: [] as Array<CompressionReport>, zstd: [] as Array<CompressionReport> }
    for (let round = 0; round < rounds; round++) {
      for (const compression of ["none", "zstd"] as const) {
        const scenario: CompressionScenario = { engine: "segment", compression, messagesPerTurn, seconds }
        reports[compression].push(await withFolder(directory, (folder) => runCompression(scenario, folder)))
      }
    }
    for (const compression of ["none", "zstd"] as const) {
      const all = (field: keyof CompressionReport): ReadonlyArray<number> =>
        reports[compression].map((each) => each[field])
      console.log(
        [
          String(messagesPerTurn).padStart(13),
          compression.padStart(12),
          Math.round(medianOf(all("recordsPerSecond")))
            .toLocaleString("en")
            .padStart(10),
          `${Math.round(spreadOf(all("recordsPerSecond")) * 100)} %`.padStart(7),
          medianOf(all("bytesPerRecord")).toFixed(1).padStart(13),
          medianOf(all("ratio")).toFixed(2).padStart(6),
          medianOf(all("diskBytesPerRecord")).toFixed(0).padStart(18),
          medianOf(all("cpuMicrosPerRecord")).toFixed(2).padStart(14)
        ].join(" ")
      )
    }
  }
}

async function reads({ directory, isQuick }: StorageBenchOptions): Promise<void> {
  console.log("\nread: a log in one partition, 128 B a record; 1 MiB a read; then 500 reads of 64 KiB at random places")
  console.log("engine      MiB  cache dropped  scan MiB/s  from disk MiB  again MiB/s  random p50, p99 ms")
  for (const engine of ENGINES) {
    const report = await withFolder(directory, (folder) => runReads(engine, isQuick ? 64 : 1_024, folder))
    console.log(
      [
        engine.padEnd(8),
        String(report.mib).padStart(6),
        (report.isDropped ? "yes" : "no").padStart(14),
        report.scanMibPerSecond.toFixed(0).padStart(11),
        report.diskMib.toFixed(0).padStart(14),
        report.againMibPerSecond.toFixed(0).padStart(12),
        `${report.randomP50Ms.toFixed(2)}, ${report.randomP99Ms.toFixed(2)}`.padStart(19)
      ].join(" ")
    )
  }
}

async function recovery({ directory, isQuick }: StorageBenchOptions): Promise<void> {
  console.log("\nrecovery: a start over what a killed process left, until one more batch is committed")
  console.log("engine      MiB  cache dropped  replayed ms  ready ms")
  for (const mib of isQuick ? [64] : [256, 2_048, 10_240]) {
    for (const engine of ENGINES) {
      const report = await withFolder(directory, (folder) => runRecovery(engine, mib, folder))
      console.log(
        [
          engine.padEnd(8),
          String(mib).padStart(6),
          (report.isDropped ? "yes" : "no").padStart(14),
          report.openMs.toFixed(0).padStart(12),
          report.readyMs.toFixed(0).padStart(9)
        ].join(" ")
      )
    }
  }
}

async function topics({ directory, seconds, isQuick, build }: StorageBenchOptions): Promise<void> {
  const count = isQuick ? 20_000 : 1_000_000
  const among = isQuick ? [10_000] : [100_000, count]
  console.log(
    `\ntopics: ${count.toLocaleString("en")} in sqlite, made over HTTP; 128 B at QoS 1 to topics at random; kill, start`
  )
  const report = await withFolder(directory, (folder) => runTopics(count, among, seconds, folder, build))
  const mib = (value: number): string => `${value.toFixed(0)} MiB`
  console.log(`created a second      ${Math.round(report.createdPerSecond).toLocaleString("en")}`)
  console.log(`memory, then at rest  ${mib(report.createdRssMiB)}, ${mib(report.restedRssMiB)}`)
  for (const { among: topicCount, perSecond, rssMiB } of report.published) {
    const rate = Math.round(perSecond).toLocaleString("en")
    console.log(`PUBACKs a second      ${rate} to ${topicCount.toLocaleString("en")} topics; memory ${mib(rssMiB)}`)
  }
  console.log(`disk                  ${mib(report.diskMiB)}`)
  console.log(`ready after a kill    ${report.readyMs.toFixed(0)} ms; memory at rest ${mib(report.rssMiB)}`)
  console.log(`a page of 1,000       ${report.pageMs.toFixed(0)} ms`)
}
