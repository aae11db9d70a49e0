/** One measurement: a fresh broker, a fresh driver process, one report. */
import type { Broker } from "./brokers/Broker.ts"
import { DRIVER_CORE, launch } from "./brokers/launch.ts"
import type { ProtocolLevel } from "./driver/frames.ts"
import type { DriverTask } from "./driver/main.ts"
import type { Report } from "./driver/report.ts"
import type { Scenario } from "./scenarios.ts"

const DRIVER = new URL("./driver/main.ts", import.meta.url).pathname

export interface MeasureOptions {
  readonly level: ProtocolLevel
  readonly payloadBytes: number
  readonly warmUpSeconds: number
  readonly seconds: number
}

/** Starts `broker`, runs `scenario` against it, stops both. Rejects where the run could not take place. */
export async function measure(broker: Broker, scenario: Scenario, options: MeasureOptions): Promise<Report> {
  const running = await broker.start()
  try {
    const task: DriverTask = { scenario, hostname: "127.0.0.1", port: running.port, brokerPid: running.pid, ...options }
    // The driver says nothing until it is done, which takes as long as the run plus set-up and drain.
    const driver = launch([process.execPath, DRIVER, JSON.stringify(task)], DRIVER_CORE, {
      silentMsMax: (options.warmUpSeconds + options.seconds) * 1000 + 90_000
    })
    try {
      return await driver.line((line) => (line.startsWith("{") ? (JSON.parse(line) as Report) : undefined))
    } finally {
      await driver.stop()
    }
  } finally {
    await running.stop()
  }
}
