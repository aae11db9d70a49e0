/** What a number was measured on: printed above every table, because without it a number says nothing. */
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os"
import { BROKER_CORE, DRIVER_CORE, taskset } from "./brokers/launch.ts"

/** One line on the machine, one on how processes were placed, and a warning where others are at work. */
export function machineLines(): string[] {
  const model = cpus()[0]?.model ?? "unknown processor"
  const memoryGiB = Math.round(totalmem() / 1024 ** 3)
  const [load = 0] = loadavg()
  const lines = [
    `machine: ${availableParallelism()} cores (${model}), ${memoryGiB} GiB, ${process.platform} ${release()}, ` +
      `Bun ${Bun.version}, load ${load.toFixed(2)}`,
    taskset === undefined
      ? "placement: NOT pinned (no taskset, or one core): broker and driver take each other's time"
      : `placement: broker on core ${BROKER_CORE}, driver on core ${DRIVER_CORE}, loopback`
  ]
  if (load > 0.5) lines.push("warning: the machine is busy; expect a wide spread")
  return lines
}
