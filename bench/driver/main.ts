/**
 * The load driver's process: one scenario against one broker, then one JSON line ({@link Report}) on stdout.
 *
 * `bun bench/driver/main.ts '{"scenario": {...}, "port": 1883, ...}'`: started by bench/main.ts, which pins it to a core
 * of its own. It ends with exit code 1 and one line on stderr where a run could not take place.
 */
import type { Scenario } from "../scenarios.ts"
import { runClosedLoop } from "./closed-loop.ts"
import { runConnectRate, runIdle } from "./connections.ts"
import type { ProtocolLevel } from "./frames.ts"
import type { RunOptions } from "./message-run.ts"
import { runOpenLoop } from "./open-loop.ts"
import type { Report } from "./report.ts"

/** What the process is told, as JSON in its first argument. */
export interface DriverTask {
  readonly scenario: Scenario
  readonly hostname: string
  readonly port: number
  readonly brokerPid: number
  readonly level: ProtocolLevel
  readonly payloadBytes: number
  readonly warmUpSeconds: number
  readonly seconds: number
}

export function runTask(task: DriverTask): Promise<Report> {
  const options: RunOptions = {
    endpoint: { hostname: task.hostname, port: task.port },
    level: task.level,
    payloadBytes: task.payloadBytes,
    brokerPid: task.brokerPid,
    warmUpSeconds: task.warmUpSeconds,
    seconds: task.seconds
  }
  switch (task.scenario.kind) {
    case "closed-loop":
      return runClosedLoop(task.scenario, options)
    case "open-loop":
      return runOpenLoop(task.scenario, options)
    case "idle":
      return runIdle(task.scenario, options)
    case "connect-rate":
      return runConnectRate(task.scenario, options)
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
