/**
 * The start over many durable sessions: an empty start first (time and memory to compare with), then sessions are made, the
 * broker ends as told, and is started again over what it kept.
 */
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { usageOf } from "./driver/process-usage.ts"
import { NO_FAULTS, type Report } from "./driver/report.ts"
import type { Checked, Populated } from "./driver/sessions.ts"
import type { Attempt } from "./measure.ts"
import type { Restart } from "./scenarios.ts"

/** Memory is read when the broker has had this long to come to rest. */
const REST_MS = 2000

export async function measureRestart(attempt: Attempt, scenario: Restart): Promise<Report> {
  const { broker, folder } = attempt
  let running = await broker.start(folder)
  try {
    // The first start of all makes what a new folder needs; the second is what an empty restart takes.
    await running.stop()
    running = await broker.start(folder)
    const emptyReadyMs = running.readyMs
    await rest()
    const emptyRssMiB = usageOf(running.pid).rssMiB
    const populated = (await attempt.drive(running, { scenario, part: "first" })) as Populated
    await (scenario.end === "kill" ? running.kill() : running.stop())
    const diskMiB = bytesUnder(folder) / 1024 ** 2
    running = await broker.start(folder)
    const { readyMs } = running
    await rest()
    const { rssMiB, cpuMicros } = usageOf(running.pid)
    const checked = (await attempt.drive(running, { scenario, part: "second" })) as Checked
    const seconds = readyMs / 1000
    return {
      scenario: scenario.name,
      level: attempt.options.level,
      qos: 1,
      payloadBytes: attempt.options.payloadBytes,
      publishers: 0,
      subscribers: scenario.sessions,
      seconds,
      perSecond: scenario.sessions / seconds,
      sentPerSecond: 0,
      acknowledgedPerSecond: 0,
      brokerMicrosPerMessage: cpuMicros / scenario.sessions,
      brokerShare: cpuMicros / (seconds + REST_MS / 1000) / 1e6,
      driverShare: 0,
      brokerRssMiB: rssMiB,
      brokerRssMiBBefore: emptyRssMiB,
      verdict: { ...NO_FAULTS, lost: checked.subscriptionsMissing },
      sessionsMissing: checked.sessionsMissing,
      restart: {
        sessions: scenario.sessions,
        populateSeconds: populated.seconds,
        emptyReadyMs,
        readyMs,
        emptyRssMiB,
        rssMiB,
        diskMiB,
        ...checked
      }
    }
  } finally {
    await running.stop()
  }
}

function rest(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, REST_MS))
}

/** What the files below `folder` take on disk. */
function bytesUnder(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    // Blocks of 512 bytes: what is reserved and not written does not count.
    if (entry.isDirectory()) bytes += bytesUnder(path)
    else if (entry.isFile()) bytes += statSync(path).blocks * 512
  }
  return bytes
}
