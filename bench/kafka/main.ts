/**
 * `npm run bench -- kafka [SCENARIO...]`: what Kafka clients do, for this broker and Apache Kafka side by side.
 *
 * One driver for both, in a process of its own on the second core; fresh broker and folder for each measurement; rounds A B A B, medians.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { installKafka } from "../brokers/kafka/libraries.ts"
import { DRIVER_CORE, launch } from "../brokers/launch.ts"
import type { Build } from "../brokers/manifold.ts"
import { machineLines } from "../machine.ts"
import { medianOf, percent, significant, spreadOf, whole } from "../statistics.ts"
import { type KafkaBroker, kafkaBrokers } from "./brokers.ts"
import {
  type FigureScenario,
  type Figures,
  type FlowReport,
  type FlowScenario,
  isFlow,
  KAFKA_SCENARIOS,
  type KafkaScenario,
  STORED_BYTES
} from "./scenarios.ts"

const DRIVER = new URL("./driver.ts", import.meta.url).pathname
const DRIVER_MS_MAX = 300_000
const MIB = 1024 ** 2

type Timed<Report> = Report & { readonly readyMs: number }
type Round = Timed<FlowReport>

export interface KafkaBenchOptions {
  /** Names or their beginnings, with commas between them. */
  readonly brokers: string | undefined
  readonly directory: string | undefined
  readonly build: Build
  readonly rounds: number
  readonly seconds: number
  readonly warmUp: number
  readonly isQuick: boolean
  /** Gets Apache Kafka's jars first. */
  readonly install: boolean
}

const BROKERS_BY_DEFAULT = "manifold-hybrid,manifold-persistent,kafka"

/** Measures the scenarios whose names begin as one of `names` says, all where there is none; returns the exit code. */
export async function runKafka(names: ReadonlyArray<string>, options: KafkaBenchOptions): Promise<number> {
  const failed = options.install ? installKafka() : undefined
  if (failed !== undefined) {
    console.error(failed)
    return 1
  }
  for (const line of machineLines(options.directory)) console.log(line)
  const named = (options.brokers ?? BROKERS_BY_DEFAULT).split(",")
  const measured: Array<KafkaBroker> = []
  for (const broker of kafkaBrokers(options.build)) {
    if (!named.some((one) => broker.name.startsWith(one))) continue
    const missing = broker.missing()
    if (missing === undefined) measured.push(broker)
    console.log(`${broker.name}: ${missing ?? `an acknowledgement says: ${broker.promise}`}`)
  }
  for (const scenario of KAFKA_SCENARIOS) {
    if (names.length > 0 && !names.some((one) => scenario.name.startsWith(one))) continue
    if (isFlow(scenario)) await flowTable(scenario, measured, options)
    else await figureTable(scenario, measured, options)
  }
  return 0
}

/** Rounds A B A B. */
async function inRounds<Report>(
  scenario: KafkaScenario,
  measured: ReadonlyArray<KafkaBroker>,
  options: KafkaBenchOptions
): Promise<ReadonlyMap<KafkaBroker, ReadonlyArray<Timed<Report>>>> {
  const rounds = new Map<KafkaBroker, Array<Timed<Report>>>(measured.map((broker) => [broker, []]))
  const count = options.isQuick ? 1 : options.rounds
  for (let round = 0; round < count; round++) {
    for (const broker of measured) {
      try {
        rounds.get(broker)?.push(await measure<Report>(broker, scenario, options))
      } catch (error) {
        console.log(`${scenario.name}: ${broker.name} did not come to the end of it: ${String(error).slice(0, 400)}`)
      }
    }
  }
  for (const [broker, reports] of rounds) if (reports.length === 0) rounds.delete(broker)
  return rounds
}

async function figureTable(
  scenario: FigureScenario,
  measured: ReadonlyArray<KafkaBroker>,
  options: KafkaBenchOptions
): Promise<void> {
  const rounds = await inRounds<Figures>(scenario, measured, options)
  console.log(`\n${scenario.name}: ${scenario.about}`)
  for (const [broker, reports] of rounds) {
    const names = Object.keys(reports[0] ?? {})
    const told = names.map((name) => `${name} ${significant(medianOf(reports.map((report) => report[name] ?? 0)))}`)
    console.log(`${broker.name.padEnd(19)} ${told.join(" | ")}`)
  }
}

async function flowTable(
  scenario: FlowScenario,
  measured: ReadonlyArray<KafkaBroker>,
  options: KafkaBenchOptions
): Promise<void> {
  const rounds = await inRounds<FlowReport>(scenario, measured, options)
  console.log(
    `\n${scenario.name}: values of ${scenario.valueBytes} B, ${scenario.partitions} partitions, codec ${scenario.codec}`
  )
  console.log("broker               MiB/s  spread  records/s  CPU ms/MiB  core %  driver %  RSS MiB  ready ms  faults")
  for (const [broker, reports] of rounds) {
    const median = (of: (report: Round) => number): number => medianOf(reports.map(of))
    const rate = (report: Round): number => report.bytes / MIB / report.seconds
    const cells = [
      significant(median(rate)).padStart(7),
      percent(spreadOf(reports.map(rate))).padStart(7),
      whole(median((report) => report.records / report.seconds)).padStart(10),
      median((report) => (report.brokerCpuSeconds * 1000 * MIB) / Math.max(1, report.bytes))
        .toFixed(2)
        .padStart(11),
      whole(median((report) => (100 * report.brokerCpuSeconds) / report.seconds)).padStart(7),
      whole(median((report) => (100 * report.driverCpuSeconds) / report.seconds)).padStart(9),
      whole(median((report) => report.rssMiB)).padStart(8),
      whole(median((report) => report.readyMs)).padStart(9),
      whole(Math.max(...reports.map((report) => report.faults))).padStart(7)
    ]
    console.log(`${broker.name.padEnd(19)}${cells.join(" ")}`)
  }
}

async function measure<Report>(
  broker: KafkaBroker,
  scenario: KafkaScenario,
  { directory, isQuick, seconds, warmUp }: KafkaBenchOptions
): Promise<Timed<Report>> {
  const folder = mkdtempSync(join(directory ?? tmpdir(), "manifold-kafka-"))
  try {
    const running = await broker.start(folder, scenario.partitions)
    try {
      const task = {
        ...scenario,
        port: running.port,
        pid: running.pid,
        seconds: isQuick ? 0.7 : seconds,
        warmUpSeconds: isQuick ? 0.3 : warmUp,
        storedBytes: isQuick ? STORED_BYTES / 16 : STORED_BYTES
      }
      const driver = launch([process.execPath, DRIVER, JSON.stringify(task)], DRIVER_CORE, {
        silentMsMax: DRIVER_MS_MAX
      })
      const report = await driver.line((line) => (line.startsWith("{") ? (JSON.parse(line) as Report) : undefined))
      return { ...report, readyMs: running.readyMs }
    } finally {
      await running.stop()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
