/** What the kernel counts of the disk below a directory: read from outside of what is measured. */
import { readFileSync, statSync } from "node:fs"

export interface DiskCounters {
  /** Flushes of the disk's cache that were done: a sync asks for one, where anything is to be made durable. */
  readonly flushes: number
  readonly writtenBytes: number
  readonly readBytes: number
}

const SECTOR_BYTES = 512

/** Since the machine's start; zeros where the kernel tells nothing. Others' work on the same disk counts, too. */
export function diskCounters(directory: string): DiskCounters {
  const none = { flushes: 0, writtenBytes: 0, readBytes: 0 }
  if (process.platform !== "linux") return none
  const device = statSync(directory).dev
  // As the kernel's makedev has it.
  const [major, minor] = [(device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00)]
  for (const line of readFileSync("/proc/diskstats", "utf8").split("\n")) {
    const fields = line.trim().split(/\s+/).map(Number)
    if (fields[0] !== major || fields[1] !== minor) continue
    return {
      flushes: fields[18] ?? 0,
      writtenBytes: (fields[9] ?? 0) * SECTOR_BYTES,
      readBytes: (fields[5] ?? 0) * SECTOR_BYTES
    }
  }
  return none
}

export function processCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
