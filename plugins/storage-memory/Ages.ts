/**
 * Forgets what has grown too old in partitions that nobody writes to.
 *
 * Partitions that hold something and keep it for a time hang in a heap, the one whose oldest batch is due first on top; one timer waits
 * for that one. A partition is looked at when its time has come and not before, so one that is idle costs a place in the heap, one that
 * holds nothing not even that, and appending costs nothing but where the partition was empty. What a partition forgets for other reasons
 * makes it due later than the heap knows: it is then looked at once for nothing.
 *
 * Invariants
 *  - A batch goes {@link TICK_MS} and a turn after its time at the latest; where more than {@link BATCHES_A_LOOK} are due at once, so many
 *    go every {@link BEHIND_MS}.
 *  - A member that holds batches and has a bound of age is in the heap, with a time that is not after that of its oldest batch.
 */
import type { ClockShape, Timer } from "../../core/mod.ts"

/** Between two looks. */
export const TICK_MS = 250
/** The same while more is due than one look goes through. */
export const BEHIND_MS = 5
/** Batches, and partitions, that one look goes through at most: some hundred microseconds. */
export const BATCHES_A_LOOK = 4_096
/** Timers of many days are none to all runtimes: then it is looked in between. */
const WAIT_MS_MAX = 3_600_000

export interface AgedMember {
  /** When its oldest batch has reached its age, monotonic ms; infinite where it has none. Set by {@link AgedMember.forgetAged}. */
  dueMs: number
  /** Its place in the heap, which is the heap's own; -1 = none. */
  agesIndex: number
  /** Forgets at most `max` batches whose time has come at `nowMs`, the newest too, and sets `dueMs` anew; returns how many they were. */
  forgetAged(nowMs: number, max: number): number
}

export class Ages {
  readonly #clock: Pick<ClockShape, "monotonicMs" | "after">
  readonly #heap: Array<AgedMember> = []
  #timer: Timer | undefined
  #timerMs = Number.POSITIVE_INFINITY

  constructor(clock: Pick<ClockShape, "monotonicMs" | "after">) {
    this.#clock = clock
  }

  /** Partitions that are waited for. */
  get size(): number {
    return this.#heap.length
  }

  /** Looks after `member` from `dueMs` on; it is not in the heap yet. */
  add(member: AgedMember, dueMs: number): void {
    member.dueMs = dueMs
    member.agesIndex = this.#heap.length
    this.#heap.push(member)
    this.#rise(member)
    if (this.#heap[0] === member) this.#arm(TICK_MS)
  }

  /** Looks after `member` no longer. */
  remove(member: AgedMember): void {
    const index = member.agesIndex
    if (index < 0) return
    member.agesIndex = -1
    const last = this.#heap.pop()
    if (last === undefined || last === member) return
    this.#heap[index] = last
    last.agesIndex = index
    this.#rise(last)
    this.#sink(last)
  }

  /** Waits for nothing any more. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerMs = Number.POSITIVE_INFINITY
    for (const member of this.#heap) member.agesIndex = -1
    this.#heap.length = 0
  }

  /** Has the timer fire for the first of the heap, in `waitMsMin` at the earliest, where it would fire later. */
  #arm(waitMsMin: number): void {
    const first = this.#heap[0]
    if (first === undefined || this.#timerMs <= first.dueMs + TICK_MS) return
    this.#timer?.cancel()
    const nowMs = this.#clock.monotonicMs()
    // Some that are due soon after one another go in one look.
    const waitMs = Math.min(Math.max(first.dueMs - nowMs + TICK_MS / 2, waitMsMin), WAIT_MS_MAX)
    this.#timerMs = nowMs + waitMs
    this.#timer = this.#clock.after(waitMs, () => {
      this.#timer = undefined
      this.#timerMs = Number.POSITIVE_INFINITY
      this.#arm(this.#look() ? TICK_MS : BEHIND_MS)
    })
  }

  /** Goes through what is due; false where that is not all. */
  #look(): boolean {
    const nowMs = this.#clock.monotonicMs()
    for (let left = BATCHES_A_LOOK; left > 0; ) {
      const first = this.#heap[0]
      if (first === undefined || first.dueMs > nowMs) return true
      left -= Math.max(1, first.forgetAged(nowMs, left))
      if (first.dueMs === Number.POSITIVE_INFINITY) this.remove(first)
      else this.#sink(first)
    }
    return false
  }

  #rise(member: AgedMember): void {
    const heap = this.#heap
    let index = member.agesIndex
    while (index > 0) {
      const above = heap[(index - 1) >>> 1]
      if (above === undefined || above.dueMs <= member.dueMs) break
      heap[index] = above
      above.agesIndex = index
      index = (index - 1) >>> 1
    }
    heap[index] = member
    member.agesIndex = index
  }

  #sink(member: AgedMember): void {
    const heap = this.#heap
    let index = member.agesIndex
    for (;;) {
      let below = heap[2 * index + 1]
      const other = heap[2 * index + 2]
      if (below === undefined) break
      if (other !== undefined && other.dueMs < below.dueMs) below = other
      if (below.dueMs >= member.dueMs) break
      const place = below.agesIndex
      heap[index] = below
      below.agesIndex = index
      index = place
    }
    heap[index] = member
    member.agesIndex = index
  }
}
