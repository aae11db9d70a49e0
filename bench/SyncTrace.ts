/**
 * Counts the syncs of a broker that has no counter of its own: its system calls, by strace where that is installed and allowed.
 *
 * A traced process is slower: latencies of such a run say nothing, and its table does not show them.
 * Source: strace(1): `-ttt` prints seconds since 1970 with microseconds before each call, `-f` follows all threads.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Child, launch } from "./brokers/launch.ts"

const CALLS = "fsync,fdatasync,sync_file_range,msync"

export class SyncTrace {
  readonly #child: Child
  readonly #file: string

  private constructor(child: Child, file: string) {
    this.#child = child
    this.#file = file
  }

  /** Traces process `pid` from now on, or undefined where there is no strace. Its notes go to a file in `folder`. */
  static start(pid: number, folder: string): SyncTrace | undefined {
    const strace = Bun.which("strace")
    if (strace === null) return undefined
    const file = join(folder, "syncs.strace")
    return new SyncTrace(
      launch([strace, "-f", "-q", "-ttt", "-e", `trace=${CALLS}`, "-o", file, "-p", String(pid)], undefined),
      file
    )
  }

  /** Syncs a second between two moments (milliseconds since 1970); undefined where nothing could be traced. */
  async perSecond(fromMs: number, toMs: number): Promise<number | undefined> {
    await this.stop()
    try {
      return syncsBetween(readFileSync(this.#file, "latin1"), fromMs, toMs) / ((toMs - fromMs) / 1000)
    } catch {
      // It was not allowed to attach, and wrote nothing.
      return undefined
    }
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }
}

/** Calls that began between two moments; the second half of an interrupted line is not another call. */
export function syncsBetween(trace: string, fromMs: number, toMs: number): number {
  let count = 0
  for (const line of trace.split("\n")) {
    const match = /^(?:\d+ +)?(\d+\.\d+) (?:fsync|fdatasync|sync_file_range|msync)\(/.exec(line)
    const atMs = Number(match?.[1]) * 1000
    if (atMs >= fromMs && atMs < toMs) count++
  }
  return count
}
