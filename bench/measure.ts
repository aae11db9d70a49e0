/** One measurement: a fresh folder, a fresh broker, fresh driver processes, one report. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Broker, RunningBroker } from "./brokers/Broker.ts"
import { certificateIn } from "./brokers/certificate.ts"
import { DRIVER_CORE, launch } from "./brokers/launch.ts"
import { topicNamesOf } from "./driver/acknowledge.ts"
import type { Endpoint } from "./driver/connect.ts"
import type { ProtocolLevel } from "./driver/frames.ts"
import type { DriverResult, DriverTask } from "./driver/main.ts"
import type { Report } from "./driver/report.ts"
import { measureOffline } from "./measure-offline.ts"
import { measureRestart } from "./measure-restart.ts"
import { SyncTrace } from "./SyncTrace.ts"
import type { Scenario } from "./scenarios.ts"

const DRIVER = new URL("./driver/main.ts", import.meta.url).pathname
/** Beyond its seconds a driver may take this long for its set-up and its drain. */
const DRIVER_MS_BEYOND = 90_000
/** Making 100,000 durable sessions, or a million subscriptions, may take long. */
const DRIVER_MS_POPULATE = 700_000
const LONG: readonly Scenario["kind"][] = ["restart", "retained", "idle", "subscriptions", "tls-connect"]

export interface MeasureOptions {
  readonly level: ProtocolLevel
  readonly payloadBytes: number
  readonly warmUpSeconds: number
  readonly seconds: number
  /** Folder below which brokers keep their data; the system's for temporary files where it is left out. */
  readonly directory?: string
}

/** A scenario on its way: what its parts need. */
export interface Attempt {
  readonly broker: Broker
  /** This measurement's own folder. */
  readonly folder: string
  readonly options: MeasureOptions
  /** Runs the driver once against `running`. */
  drive(running: RunningBroker, part: Partial<DriverTask> & Pick<DriverTask, "scenario">): Promise<DriverResult>
}

/** Starts `broker`, runs `scenario` against it, stops both. Rejects where the run could not take place. */
export async function measure(broker: Broker, scenario: Scenario, options: MeasureOptions): Promise<Report> {
  const folder = mkdtempSync(join(options.directory ?? tmpdir(), "manifold-bench-"))
  const attempt: Attempt = {
    broker,
    folder,
    options,
    drive: (running, part) => drive(attempt, running, part)
  }
  try {
    if (scenario.kind === "offline") return await measureOffline(attempt, scenario)
    if (scenario.kind === "restart") return await measureRestart(attempt, scenario)
    return await measureOnce(attempt, scenario)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measureOnce(attempt: Attempt, scenario: Scenario): Promise<Report> {
  const names = scenario.kind === "acknowledge" ? topicNamesOf(scenario.topics) : []
  const isTls = scenario.kind === "tls-connect"
  const certificate = isTls ? certificateIn(attempt.folder) : undefined
  const running = await attempt.broker.start(attempt.folder, names, certificate)
  const isCounted = scenario.kind === "acknowledge" && scenario.journal
  const trace = isCounted ? SyncTrace.start(running.pid, attempt.folder) : undefined
  try {
    const report = (await attempt.drive(running, { scenario, endpoint: { ...endpointOf(running), isTls } })) as Report
    if (report.journal !== undefined || report.window === undefined || trace === undefined) return report
    const syncsPerSecond = await trace.perSecond(report.window.fromMs, report.window.toMs)
    return syncsPerSecond === undefined ? report : { ...report, journal: { source: "strace", syncsPerSecond } }
  } finally {
    await trace?.stop()
    await running.stop()
  }
}

function endpointOf({ port }: RunningBroker): Endpoint {
  return { hostname: "127.0.0.1", port }
}

async function drive(
  { broker, folder, options }: Attempt,
  running: RunningBroker,
  part: Partial<DriverTask> & Pick<DriverTask, "scenario">
): Promise<DriverResult> {
  const task: DriverTask = {
    endpoint: endpointOf(running),
    level: options.level,
    payloadBytes: options.payloadBytes,
    warmUpSeconds: options.warmUpSeconds,
    seconds: options.seconds,
    brokerPid: running.pid,
    folder,
    isSubscriberNeeded: broker.storesForSubscribersOnly,
    ...(running.metricsUrl === undefined ? {} : { metricsUrl: running.metricsUrl }),
    ...part
  }
  const isLong = LONG.includes(part.scenario.kind)
  // The driver says nothing until it is done, which takes as long as the run plus set-up and drain.
  const driver = launch([process.execPath, DRIVER, JSON.stringify(task)], DRIVER_CORE, {
    silentMsMax: isLong ? DRIVER_MS_POPULATE : (task.warmUpSeconds + task.seconds) * 1000 + DRIVER_MS_BEYOND
  })
  try {
    return await driver.line((line) => (line.startsWith("{") ? (JSON.parse(line) as DriverResult) : undefined))
  } finally {
    await driver.stop()
  }
}
