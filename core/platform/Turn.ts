/**
 * The end of a turn of the loop: where a shard gathers what many messages caused into one write per connection, one batch per
 * partition, one frame per neighbour.
 *
 * Work runs before the flush of the journal, and that before output; all run until nothing is left, so that what a turn did stands in
 * one journal entry, and an acknowledgement which a commit releases leaves in the same turn. While traffic is sparse the turn ends as soon as the current network event is handled (lowest latency); under load it ends
 * after all waiting network events (most batching).
 */
import { Context } from "effect"
import type { ClockShape } from "./Clock.ts"

/** Something to do once at the end of the turn. Whoever defers itself twice is called twice. */
export interface TurnTask {
  endTurn(): void
}

export interface TurnShape {
  /** Runs `task` before any output of this turn: seals, commits, frames to other shards. */
  deferWork(task: TurnTask): void
  /** Runs `task` when no work is left and before any output: the journal writes down what the turn did. */
  deferFlush(task: TurnTask): void
  /** Runs `task` after all work of this turn: writes to sockets. */
  deferOutput(task: TurnTask): void
}

export class Turn extends Context.Service<Turn, TurnShape>()("manifold/core/platform/Turn") {}

/** Turns between two looks at the load. */
const WINDOW_TURNS = 64
/** {@link WINDOW_TURNS} turns within this many milliseconds (about 16,000 turns/s) count as load. */
const BUSY_WINDOW_MS = 4
/** Tasks a turn below which waiting for more network events does not pay. */
const TASKS_PER_TURN_MIN = 2

/** The turn of one shard. Not re-entrant: tasks that defer more are served in the same turn. */
export class TurnLoop implements TurnShape {
  readonly #clock: ClockShape
  #work: Array<TurnTask> = []
  #workSpare: Array<TurnTask> = []
  #flushes: Array<TurnTask> = []
  #flushesSpare: Array<TurnTask> = []
  #output: Array<TurnTask> = []
  #outputSpare: Array<TurnTask> = []
  #scheduled = false
  #busy = false
  #turns = 0
  #tasks = 0
  #windowStartMs: number
  readonly #end = (): void => this.#run()

  constructor(clock: ClockShape) {
    this.#clock = clock
    this.#windowStartMs = clock.monotonicMs()
  }

  deferWork(task: TurnTask): void {
    this.#work.push(task)
    if (!this.#scheduled) this.#schedule()
  }

  deferFlush(task: TurnTask): void {
    this.#flushes.push(task)
    if (!this.#scheduled) this.#schedule()
  }

  deferOutput(task: TurnTask): void {
    this.#output.push(task)
    if (!this.#scheduled) this.#schedule()
  }

  #schedule(): void {
    this.#scheduled = true
    if (this.#busy) this.#clock.immediate(this.#end)
    else this.#clock.microtask(this.#end)
  }

  #run(): void {
    for (;;) {
      if (this.#work.length > 0) {
        const tasks = this.#work
        this.#work = this.#workSpare
        this.#workSpare = tasks
        for (let index = 0; index < tasks.length; index++) tasks[index]?.endTurn()
        tasks.length = 0
      } else if (this.#flushes.length > 0) {
        const tasks = this.#flushes
        this.#flushes = this.#flushesSpare
        this.#flushesSpare = tasks
        for (let index = 0; index < tasks.length; index++) tasks[index]?.endTurn()
        tasks.length = 0
      } else if (this.#output.length > 0) {
        const tasks = this.#output
        this.#output = this.#outputSpare
        this.#outputSpare = tasks
        this.#tasks += tasks.length
        for (let index = 0; index < tasks.length; index++) tasks[index]?.endTurn()
        tasks.length = 0
      } else break
    }
    this.#scheduled = false
    this.#turns += 1
    if (this.#turns === WINDOW_TURNS) this.#adapt()
  }

  #adapt(): void {
    const now = this.#clock.monotonicMs()
    if (this.#busy) this.#busy = this.#tasks >= WINDOW_TURNS * TASKS_PER_TURN_MIN
    else this.#busy = now - this.#windowStartMs <= BUSY_WINDOW_MS
    this.#turns = 0
    this.#tasks = 0
    this.#windowStartMs = now
  }
}
