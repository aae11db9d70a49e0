/**
 * Many coarse time-outs at little cost: keep alive, session expiry, delayed wills. One clock timer turns the wheel while anything
 * hangs on it; a time-out that is pushed back costs nothing until its old time comes.
 *
 * Invariant: a task is called no earlier than it asked for, and at most {@link TICK_MS} and a turn later.
 */
import type { ClockShape, Timer } from "./Clock.ts"

/** Resolution of the wheel. */
export const TICK_MS = 250
const SPOKES = 512

/** Something that hangs on the wheel; one entry per object. */
export interface WheelTask {
  /** Called when its time has come; returns the next deadline (monotonic ms), or 0 to be taken off. */
  timeout(nowMs: number): number
}

interface Entry {
  readonly task: WheelTask
  dueMs: number
}

export class TimerWheel {
  readonly #clock: ClockShape
  readonly #spokes: Array<Set<Entry> | undefined> = Array.from({ length: SPOKES }, () => undefined)
  readonly #entries = new Map<WheelTask, Entry>()
  #timer: Timer | undefined
  #tick: number

  constructor(clock: ClockShape) {
    this.#clock = clock
    this.#tick = Math.floor(clock.monotonicMs() / TICK_MS)
  }

  get size(): number {
    return this.#entries.size
  }

  /** Calls `task` at `dueMs` (monotonic ms) or a little later; replaces an earlier wish of the same task. */
  set(task: WheelTask, dueMs: number): void {
    this.cancel(task)
    const entry: Entry = { task, dueMs }
    this.#entries.set(task, entry)
    if (this.#timer === undefined) this.#tick = Math.floor(this.#clock.monotonicMs() / TICK_MS)
    this.#hang(entry)
    this.#arm()
  }

  cancel(task: WheelTask): void {
    const entry = this.#entries.get(task)
    if (entry === undefined) return
    this.#entries.delete(task)
    this.#spokes[this.#spokeOf(entry.dueMs)]?.delete(entry)
  }

  /** Takes everything off. */
  clear(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#entries.clear()
    this.#spokes.fill(undefined)
  }

  #spokeOf(dueMs: number): number {
    return (Math.floor(dueMs / TICK_MS) + 1) % SPOKES
  }

  #hang(entry: Entry): void {
    // What is due already hangs on the spoke that comes next.
    entry.dueMs = Math.max(entry.dueMs, this.#tick * TICK_MS)
    const spoke = this.#spokeOf(entry.dueMs)
    const entries = this.#spokes[spoke]
    if (entries === undefined) this.#spokes[spoke] = new Set([entry])
    else entries.add(entry)
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#entries.size === 0) return
    this.#timer = this.#clock.after(TICK_MS, () => {
      this.#timer = undefined
      this.#turn()
      this.#arm()
    })
  }

  #turn(): void {
    const now = this.#clock.monotonicMs()
    const last = Math.floor(now / TICK_MS)
    // After a long pause one round sees every spoke.
    if (last - this.#tick > SPOKES) this.#tick = last - SPOKES
    while (this.#tick < last) {
      this.#tick += 1
      const entries = this.#spokes[this.#tick % SPOKES]
      if (entries === undefined) continue
      for (const entry of [...entries]) {
        if (entry.dueMs > now || this.#entries.get(entry.task) !== entry) continue
        entries.delete(entry)
        this.#entries.delete(entry.task)
        const next = entry.task.timeout(now)
        if (next !== 0 && !this.#entries.has(entry.task)) this.set(entry.task, next)
      }
    }
  }
}
