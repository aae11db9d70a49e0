/**
 * The load driver's process: one scenario (or one part of it) against one broker, then one JSON line on stdout.
 *
 * `bun bench/driver/main.ts '{"scenario": {...}, "port": 1883, ...}'`: started by bench/main.ts, which pins it to a core
 * of its own. It ends with exit code 1 and one line on stderr where a run could not take place.
 */
import type { Scenario } from "../scenarios.ts"
import { runAcknowledge } from "./acknowledge.ts"
import { runClosedLoop } from "./closed-loop.ts"
import { runConnectChurn } from "./connect-churn.ts"
import { runConnectRate, runIdle } from "./connections.ts"
import type { RunOptions } from "./message-run.ts"
import { type Drained, drainOffline, type Stored, storeOffline } from "./offline.ts"
import { runOpenLoop } from "./open-loop.ts"
import type { Report } from "./report.ts"
import { runRetained } from "./retained.ts"
import { type Checked, check, type Populated, populate } from "./sessions.ts"
import { runSubscribeLoad } from "./subscribe-load.ts"
import { runSubscriptions } from "./subscriptions.ts"
import { runTlsConnect } from "./tls-connect.ts"

/** What the process is told, as JSON in its first argument. */
export interface DriverTask extends RunOptions {
  readonly scenario: Scenario
  /** Which part of a scenario that has several; the whole where it has one. */
  readonly part?: "first" | "second"
  /** What the first part said, for the second of `offline`. */
  readonly stored?: Stored
}

/** What the process says on its stdout. */
export type DriverResult = Report | Stored | Drained | Populated | Checked

export function runTask(task: DriverTask): Promise<DriverResult> {
  const { scenario, part } = task
  switch (scenario.kind) {
    case "closed-loop":
      return runClosedLoop(scenario, task)
    case "open-loop":
      return runOpenLoop(scenario, task)
    case "idle":
      return runIdle(scenario, task)
    case "connect-rate":
      return runConnectRate(scenario, task)
    case "acknowledge":
      return runAcknowledge(scenario, task)
    case "offline":
      if (part === "first") return storeOffline(scenario, task)
      if (task.stored === undefined) throw new Error("the drain is told what was stored")
      return drainOffline(scenario, task, task.stored)
    case "restart":
      return part === "first" ? populate(scenario, task) : check(scenario, task)
    case "connect-churn":
      return runConnectChurn(scenario, task)
    case "subscriptions":
      return runSubscriptions(scenario, task)
    case "subscribe-load":
      return runSubscribeLoad(scenario, task)
    case "tls-connect":
      return runTlsConnect(scenario, task)
    case "retained":
      return runRetained(scenario, task)
  }
}

if (import.meta.main) {
  const task = process.argv[2]
  if (task === undefined) {
    console.error("usage: bun bench/driver/main.ts TASK (JSON; started by bench/main.ts)")
    process.exit(2)
  }
  try {
    console.log(JSON.stringify(await runTask(JSON.parse(task) as DriverTask)))
    process.exit(0)
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    process.exit(1)
  }
}
