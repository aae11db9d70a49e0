/**
 * What a process has used so far: CPU time and resident memory, from Linux's /proc.
 *
 * Elsewhere, and without a process id, everything is 0: the report then has no CPU and no memory.
 * Source: proc(5): /proc/pid/stat fields 14 (utime) and 15 (stime) in clock ticks, /proc/pid/statm field 2 in pages.
 */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"

export interface ProcessUsage {
  readonly cpuMicros: number
  readonly rssMiB: number
}

const NOTHING: ProcessUsage = { cpuMicros: 0, rssMiB: 0 }

let ticksPerSecond = 0
let pageBytes = 0

/** CPU time since its start (all threads) and resident memory of `pid`; resolution is one clock tick, mostly 10 ms. */
export function usageOf(pid: number): ProcessUsage {
  if (pid <= 0 || process.platform !== "linux") return NOTHING
  if (ticksPerSecond === 0) {
    ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }))
    pageBytes = Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" }))
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    // The second field is the command in parentheses and may hold anything: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1])
    return {
      cpuMicros: ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6,
      rssMiB: (pages * pageBytes) / 1024 ** 2
    }
  } catch {
    // The process is gone: the verdict says so by its broken connections.
    return NOTHING
  }
}

/** CPU time of this process since its start. */
function ownCpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** What a span of time cost. */
export interface SpanUsage {
  readonly brokerMicros: number
  readonly driverMicros: number
  /** The broker's resident memory at its end. */
  readonly rssMiB: number
}

/** Watches the broker and this process from the moment on when it is made. */
export class UsageWatch {
  /** The broker's resident memory at its start. */
  readonly rssMiBBefore: number
  readonly #pid: number
  readonly #brokerMicros: number
  readonly #driverMicros: number

  constructor(brokerPid: number) {
    const { cpuMicros, rssMiB } = usageOf(brokerPid)
    this.#pid = brokerPid
    this.rssMiBBefore = rssMiB
    this.#brokerMicros = cpuMicros
    this.#driverMicros = ownCpuMicros()
  }

  /** What was used up to now. */
  end(): SpanUsage {
    const { cpuMicros, rssMiB } = usageOf(this.#pid)
    return {
      brokerMicros: cpuMicros - this.#brokerMicros,
      driverMicros: ownCpuMicros() - this.#driverMicros,
      rssMiB
    }
  }
}

/** A report's figures of `count` messages (connections, filters) within `seconds`. */
export function costsOf(
  { brokerMicros, driverMicros }: SpanUsage,
  count: number,
  seconds: number
): { brokerMicrosPerMessage: number; brokerShare: number; driverShare: number } {
  return {
    brokerMicrosPerMessage: count === 0 ? 0 : brokerMicros / count,
    brokerShare: brokerMicros / seconds / 1e6,
    driverShare: driverMicros / seconds / 1e6
  }
}
