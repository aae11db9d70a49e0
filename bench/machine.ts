/** What a number was measured on: printed above every table, because without it a number says nothing. */
import { spawnSync } from "node:child_process"
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from "node:os"
import { BROKER_CORE, DRIVER_CORE, taskset } from "./brokers/launch.ts"

/** File systems that keep everything in memory: a sync on them costs nothing and promises nothing. */
const IN_MEMORY = ["tmpfs", "ramfs"]

/** Lines on the machine, on how processes were placed, on where data lies, and a warning where others are at work. */
export function machineLines(directory = tmpdir()): string[] {
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
  const fileSystem = fileSystemOf(directory)
  lines.push(`data: below ${directory} (${fileSystem})`)
  if (IN_MEMORY.includes(fileSystem))
    lines.push("warning: that lies in memory: choose another --directory for what is durable")
  if (load > 0.5) lines.push("warning: the machine is busy; expect a wide spread")
  return lines
}

/** The type of the file system that holds `directory`, as `stat -f` names it. */
function fileSystemOf(directory: string): string {
  const said = spawnSync("stat", ["-f", "-c", "%T", directory], { encoding: "utf8" })
  return said.status === 0 ? said.stdout.trim() : "file system unknown"
}
