/**
 * How many connections a process may hold. The runtime raises its own soft limit to the hard one when it starts, and every broker and
 * driver is started by it and inherits that: what this process may open, they may.
 *
 * Source: getrlimit(2), RLIMIT_NOFILE; proc(5), /proc/self/limits.
 */
import { readFileSync } from "node:fs"

/** What a process has open beside its connections: files, listeners, the loop's own. */
const OTHERS = 200

/** The descriptors a process started from here may have; undefined where nobody says (no /proc). */
export function descriptorsMax(): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1]
    return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft)
  } catch {
    return undefined
  }
}

/** Why `connections` at a time cannot be had here, or undefined where they can. */
export function tooMany(connections: number, limit = descriptorsMax()): string | undefined {
  if (limit === undefined || connections + OTHERS <= limit) return undefined
  const figures = [connections + OTHERS, limit].map((figure) => figure.toLocaleString("en-US"))
  return `${figures[0]} descriptors are needed, the hard limit is ${figures[1]} (ulimit -Hn)`
}
