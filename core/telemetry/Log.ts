/**
 * The log: what an operator reads when something happened. Not for what happens once a message; that is counted (Telemetry).
 *
 * Invariants
 *  - Of one kind (area and message) at most {@link LINES_PER_KIND_MAX} lines leave within {@link WINDOW_MS}; the rest is counted, and
 *    one line says how many, on the next event after the window or at `flush`.
 *  - The table of kinds is bounded: beyond {@link KINDS_MAX} at a time all further kinds share one allowance. So a client that finds
 *    a way into a message fills neither the memory nor the disk.
 *  - A sink that throws costs its line, never the caller.
 */
import { Context } from "effect"
import type { ClockShape } from "../platform/Clock.ts"
import { formatLine, LEVELS, type LogFields, type LogLevel } from "./log-line.ts"

export const WINDOW_MS = 10_000
export const LINES_PER_KIND_MAX = 20
export const KINDS_MAX = 256

export interface LogShape {
  debug(area: string, message: string, fields?: LogFields): void
  info(area: string, message: string, fields?: LogFields): void
  warn(area: string, message: string, fields?: LogFields): void
  error(area: string, message: string, fields?: LogFields): void
  /** Whether a line of `level` would be looked at: for fields that cost something to build. */
  isEnabled(level: LogLevel): boolean
}

export class Log extends Context.Service<Log, LogShape>()("manifold/core/telemetry/Log") {}

export interface LogOptions {
  /** The lowest level that is written. */
  readonly level: LogLevel
  readonly clock: Pick<ClockShape, "nowMs" | "monotonicMs">
  /** Takes one line without its line break. */
  readonly sink: (line: string) => void
}

/** Lines of one kind within the current window. */
interface Kind {
  readonly area: string
  readonly message: string
  readonly startMs: number
  lines: number
  suppressed: number
  /** Of the last line that was left out. */
  level: LogLevel
}

export class LineLog implements LogShape {
  readonly #clock: LogOptions["clock"]
  readonly #sink: LogOptions["sink"]
  /** In order of their windows' starts: the oldest first. */
  readonly #kinds = new Map<string, Kind>()
  #others: Kind | undefined
  #rank: number
  #written = 0
  #suppressed = 0
  #lost = 0

  constructor(options: LogOptions) {
    this.#clock = options.clock
    this.#sink = options.sink
    this.#rank = LEVELS.indexOf(options.level)
  }

  /** Lines that the sink took, that the rate left out, and that the sink refused. */
  get counts(): { readonly written: number; readonly suppressed: number; readonly lost: number } {
    return { written: this.#written, suppressed: this.#suppressed, lost: this.#lost }
  }

  get level(): LogLevel {
    return LEVELS[this.#rank] ?? "info"
  }

  set level(level: LogLevel) {
    this.#rank = LEVELS.indexOf(level)
  }

  isEnabled(level: LogLevel): boolean {
    return LEVELS.indexOf(level) >= this.#rank
  }

  debug(area: string, message: string, fields?: LogFields): void {
    this.#log("debug", area, message, fields)
  }

  info(area: string, message: string, fields?: LogFields): void {
    this.#log("info", area, message, fields)
  }

  warn(area: string, message: string, fields?: LogFields): void {
    this.#log("warn", area, message, fields)
  }

  error(area: string, message: string, fields?: LogFields): void {
    this.#log("error", area, message, fields)
  }

  /** Says now what was left out; for the end of the process. */
  flush(): void {
    this.#endWindows(Number.POSITIVE_INFINITY)
  }

  #log(level: LogLevel, area: string, message: string, fields: LogFields | undefined): void {
    if (!this.isEnabled(level)) return
    const nowMs = this.#clock.monotonicMs()
    this.#endWindows(nowMs)
    const kind = this.#kindOf(area, message, nowMs)
    if (kind.lines === LINES_PER_KIND_MAX) {
      kind.suppressed += 1
      kind.level = level
      this.#suppressed += 1
      return
    }
    kind.lines += 1
    this.#write(level, area, message, fields)
  }

  #kindOf(area: string, message: string, nowMs: number): Kind {
    const key = `${area}\u0000${message}`
    const known = this.#kinds.get(key)
    if (known !== undefined) return known
    if (this.#kinds.size < KINDS_MAX) {
      const kind: Kind = { area, message, startMs: nowMs, lines: 0, suppressed: 0, level: "info" }
      this.#kinds.set(key, kind)
      return kind
    }
    this.#others ??= {
      area: "log",
      message: "events of many kinds",
      startMs: nowMs,
      lines: 0,
      suppressed: 0,
      level: "info"
    }
    return this.#others
  }

  /** Forgets the kinds whose window has ended; each is looked at once, the oldest first. */
  #endWindows(nowMs: number): void {
    for (const [key, kind] of this.#kinds) {
      if (nowMs - kind.startMs < WINDOW_MS) break
      this.#kinds.delete(key)
      this.#summarise(kind)
    }
    if (this.#others !== undefined && nowMs - this.#others.startMs >= WINDOW_MS) {
      const others = this.#others
      this.#others = undefined
      this.#summarise(others)
    }
  }

  #summarise(kind: Kind): void {
    if (kind.suppressed === 0 || !this.isEnabled(kind.level)) return
    this.#write(kind.level, kind.area, kind.message, { suppressed: kind.suppressed, within_ms: WINDOW_MS })
  }

  #write(level: LogLevel, area: string, message: string, fields: LogFields | undefined): void {
    try {
      this.#sink(formatLine(this.#clock.nowMs(), level, area, message, fields))
      this.#written += 1
    } catch {
      this.#lost += 1
    }
  }
}
