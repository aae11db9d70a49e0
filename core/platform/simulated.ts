/**
 * The simulated platform: time, chance, network and files behind the same services as the real ones, all driven by one seed and one
 * queue, so that a whole run can be had again.
 *
 * What the trace hash covers: every event that the simulation carried out, in order, with its virtual time: microtasks, immediates,
 * timers; for the network each connection, piece of bytes, drain, end and loss, with what every write took; every file operation; and
 * what the test itself noted. It covers what the code under test does only as far as it shows in these. Promises are settled by the
 * host between two events ({@link Simulation.runAsync}); their order is the language's own and the same everywhere.
 *
 * Invariants
 *  - Time stands still while a task runs, unless it calls {@link Simulation.stall}.
 *  - Tasks run in the order of their time, equal times in the order in which they were asked for; microtasks before anything else.
 *  - The same seed and the same calls give the same trace hash on every machine.
 */
import { assert } from "../assert.ts"
import type { ClockShape } from "./Clock.ts"
import { SimulatedFiles } from "./simulated-files.ts"
import { SimulatedNet, type SimulatedNetOptions } from "./simulated-net.ts"
import { Xoshiro128 } from "./Xoshiro128.ts"

/** The wall clock of a simulation starts here: 2023-11-14T22:13:20Z. */
export const SIMULATED_EPOCH_MS = 1_700_000_000_000
/** A run that does more than this without coming to rest is taken for one that never will. */
export const SIMULATED_EVENTS_MAX = 2_000_000

const MICROTASK = 1
const IMMEDIATE = 2
const TIMER = 3
const NETWORK = 4
const FILE = 5
const NOTE = 6
const STALL = 7

/** Streams of random numbers: what the code under test draws must not move what its environment does. */
const STREAM_PRODUCT = 0
const STREAM_ENVIRONMENT = 1

interface Pending {
  readonly atMs: number
  readonly sequence: number
  readonly kind: number
  readonly detail: number
  task: (() => void) | undefined
}

export interface SimulationOptions extends SimulatedNetOptions {
  /** Timers come up to so many milliseconds late; 0 = on time. */
  readonly timerLatenessMsMax?: number
}

const encoder = new TextEncoder()

export class Simulation {
  readonly seed: number
  readonly clock: ClockShape
  readonly random: Xoshiro128
  readonly net: SimulatedNet
  readonly files: SimulatedFiles
  /** What the environment draws from; a test may too. */
  readonly chance: Xoshiro128
  #nowMs = 0
  #wallShiftMs = 0
  #sequence = 0
  #events = 0
  #hash = 0x811c9dc5
  readonly #heap: Array<Pending> = []
  readonly #microtasks: Array<() => void> = []

  constructor(seed: number, options: SimulationOptions = {}) {
    this.seed = seed
    this.random = Xoshiro128.seeded(seed, STREAM_PRODUCT)
    this.chance = Xoshiro128.seeded(seed, STREAM_ENVIRONMENT)
    const latenessMsMax = options.timerLatenessMsMax ?? 0
    this.clock = {
      nowMs: () => SIMULATED_EPOCH_MS + Math.floor(this.#nowMs) + this.#wallShiftMs,
      monotonicMs: () => this.#nowMs,
      after: (delayMs, task) => {
        const lateMs = latenessMsMax === 0 ? 0 : this.chance.below(latenessMsMax + 1)
        const pending = this.#push(this.#nowMs + Math.max(0, delayMs) + lateMs, TIMER, 0, task)
        return { cancel: () => void (pending.task = undefined) }
      },
      microtask: (task) => void this.#microtasks.push(task),
      immediate: (task) => void this.#push(this.#nowMs, IMMEDIATE, 0, task)
    }
    this.net = new SimulatedNet(
      this.chance,
      {
        after: (delayMs, detail, task) => void this.#push(this.#nowMs + delayMs, NETWORK, detail, task),
        trace: (kind, connection, bytes) => this.#trace(NETWORK, kind * 65_536 + connection, bytes)
      },
      options
    )
    this.files = new SimulatedFiles({
      trace: (operation, pathname) => this.#trace(FILE, operation.length, encoder.encode(`${operation} ${pathname}`)),
      later: (task) => void this.#push(this.#nowMs, FILE, 0, task)
    })
  }

  /** FNV-1a (32 bits) over all that happened so far, eight hexadecimal digits. */
  get traceHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0")
  }

  /** Events carried out so far. */
  get eventCount(): number {
    return this.#events
  }

  /** Mixes what a test saw into the trace. */
  note(text: string): void {
    this.#trace(NOTE, 0, encoder.encode(text))
  }

  /** Lets time pass while the loop is busy: nothing runs, and what falls due runs late. */
  stall(delayMs: number): void {
    this.#nowMs += delayMs
    this.#trace(STALL, 0)
  }

  /** Sets the wall clock forward or back; the monotonic one does not notice. */
  jumpWallClock(byMs: number): void {
    this.#wallShiftMs += byMs
  }

  /** Carries out one event (and the microtasks before and after it) if one is due by `untilMs`; false where there is none. */
  step(untilMs = Number.POSITIVE_INFINITY): boolean {
    if (this.#drainMicrotasks()) return true
    let next = this.#heap[0]
    while (next !== undefined && next.task === undefined) {
      this.#pop()
      next = this.#heap[0]
    }
    if (next === undefined || next.atMs > untilMs) return false
    this.#pop()
    this.#nowMs = Math.max(this.#nowMs, next.atMs)
    this.#trace(next.kind, next.detail)
    const { task } = next
    next.task = undefined
    task?.()
    this.#drainMicrotasks()
    return true
  }

  /** Runs until `untilMs` of virtual time, or, without it, until nothing is left to do. */
  run(untilMs = Number.POSITIVE_INFINITY): void {
    const eventsMax = this.#events + SIMULATED_EVENTS_MAX
    while (this.step(untilMs)) assert(this.#events < eventsMax, `a simulation comes to rest (seed ${this.seed})`)
    this.#arrive(untilMs)
  }

  /** The same where the code under test uses promises: the host settles them after each event. */
  async runAsync(untilMs = Number.POSITIVE_INFINITY): Promise<void> {
    const eventsMax = this.#events + SIMULATED_EVENTS_MAX
    do {
      await settlePromises()
      assert(this.#events < eventsMax, `a simulation comes to rest (seed ${this.seed})`)
    } while (this.step(untilMs))
    this.#arrive(untilMs)
  }

  /** Settles promises, then carries out one event, as {@link Simulation.step} does. */
  async stepAsync(untilMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    await settlePromises()
    return this.step(untilMs)
  }

  #arrive(untilMs: number): void {
    if (untilMs !== Number.POSITIVE_INFINITY) this.#nowMs = Math.max(this.#nowMs, untilMs)
  }

  #drainMicrotasks(): boolean {
    const tasks = this.#microtasks
    if (tasks.length === 0) return false
    for (let index = 0; index < tasks.length; index++) {
      assert(index < SIMULATED_EVENTS_MAX, `microtasks come to rest (seed ${this.seed})`)
      this.#trace(MICROTASK, 0)
      tasks[index]?.()
    }
    tasks.length = 0
    return true
  }

  #trace(kind: number, detail: number, bytes?: Uint8Array): void {
    this.#events += 1
    // Thousandths of a millisecond, in two halves.
    const at = Math.round(this.#nowMs * 1_000)
    this.#mix(kind)
    this.#mixWord(Math.floor(at / 4_294_967_296))
    this.#mixWord(at)
    this.#mixWord(detail)
    if (bytes === undefined) return
    this.#mixWord(bytes.length)
    for (let index = 0; index < bytes.length; index++) this.#mix(bytes[index] ?? 0)
  }

  #mix(byte: number): void {
    this.#hash = Math.imul(this.#hash ^ byte, 0x01000193)
  }

  #mixWord(word: number): void {
    this.#mix(word & 255)
    this.#mix((word >>> 8) & 255)
    this.#mix((word >>> 16) & 255)
    this.#mix((word >>> 24) & 255)
  }

  #push(atMs: number, kind: number, detail: number, task: () => void): Pending {
    const pending: Pending = { atMs, sequence: this.#sequence++, kind, detail, task }
    const heap = this.#heap
    let index = heap.push(pending) - 1
    while (index > 0) {
      const parent = (index - 1) >>> 1
      const above = heap[parent]
      if (above === undefined || precedes(above, pending)) break
      heap[index] = above
      index = parent
    }
    heap[index] = pending
    return pending
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let index = 0
    for (;;) {
      let child = index * 2 + 1
      const left = heap[child]
      const right = heap[child + 1]
      if (left === undefined) break
      if (right !== undefined && precedes(right, left)) child += 1
      const smaller = heap[child]
      if (smaller === undefined || precedes(last, smaller)) break
      heap[index] = smaller
      index = child
    }
    heap[index] = last
  }
}

function precedes(left: Pending, right: Pending): boolean {
  return left.atMs === right.atMs ? left.sequence < right.sequence : left.atMs < right.atMs
}

/** Two turns of the host's loop: one for promises, one for fibers that they start. */
async function settlePromises(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
}
