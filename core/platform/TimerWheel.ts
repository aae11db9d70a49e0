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

export class TimerWheel {
  readonly #clock: ClockShape
  readonly #spokes: Array<Set<WheelTask> | undefined> = Array.from({ length: SPOKES }, () => undefined)
  readonly #due = new Map<WheelTask, number>()
  #timer: Timer | undefined
  #tick: number
  #isTurning = false

  constructor(clock: ClockShape) {
    this.#clock = clock
    this.#tick = Math.floor(clock.monotonicMs() / TICK_MS)
  }

  get size(): number {
    return this.#due.size
  }

  /** Calls `task` at `dueMs` (monotonic ms) or a little later; replaces an earlier wish of the same task. */
  set(task: WheelTask, dueMs: number): void {
    // A wheel that stood still starts from now; one that turns has spokes before it that must not be skipped.
    if (this.#timer === undefined && !this.#isTurning) {
      this.#tick = Math.floor(this.#clock.monotonicMs() / TICK_MS)
    }
    // What is due already hangs on the spoke that comes next.
    const due = Math.max(dueMs, this.#tick * TICK_MS)
    const before = this.#due.get(task)
    this.#due.set(task, due)
    if (before !== undefined) this.#spokes[spokeOf(before)]?.delete(task)
    this.#hang(task, spokeOf(due))
    this.#arm()
  }

  /** Takes a task off; the wheel keeps nothing of it. */
  cancel(task: WheelTask): void {
    const due = this.#due.get(task)
    if (due === undefined) return
    this.#due.delete(task)
    this.#spokes[spokeOf(due)]?.delete(task)
  }

  /** Takes everything off. */
  clear(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#due.clear()
    this.#spokes.fill(undefined)
  }

  #hang(task: WheelTask, spoke: number): void {
    const tasks = this.#spokes[spoke]
    if (tasks === undefined) this.#spokes[spoke] = new Set([task])
    else tasks.add(task)
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#isTurning || this.#due.size === 0) return
    // To the next border of a tick: from anywhere between, what is due at the border would wait for two.
    const now = this.#clock.monotonicMs()
    this.#timer = this.#clock.after((Math.floor(now / TICK_MS) + 1) * TICK_MS - now, () => {
      this.#timer = undefined
      this.#isTurning = true
      this.#turn()
      this.#isTurning = false
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
      const spoke = this.#tick % SPOKES
      const tasks = this.#spokes[spoke]
      if (tasks === undefined) continue
      this.#spokes[spoke] = undefined
      for (const task of tasks) this.#visit(task, spoke, now)
    }
  }

  /** Calls a task whose time has come, or hangs it up again for a later round. */
  #visit(task: WheelTask, spoke: number, nowMs: number): void {
    const due = this.#due.get(task)
    // A task before it may have taken this one off or set it anew.
    if (due === undefined || spokeOf(due) !== spoke) return
    if (due > nowMs) {
      this.#hang(task, spoke)
      return
    }
    this.#due.delete(task)
    const next = task.timeout(nowMs)
    if (next !== 0 && !this.#due.has(task)) this.set(task, next)
  }
}

function spokeOf(dueMs: number): number {
  return (Math.floor(dueMs / TICK_MS) + 1) % SPOKES
}
