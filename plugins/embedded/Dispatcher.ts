/**
 * Calls the program's handlers at the end of a turn, where a protocol writes to its sockets: never from within a publish, so that a
 * handler may publish, subscribe or close as it likes.
 *
 * Invariant: one turn hands out what had come when it began. What a handler causes waits for the loop to look at the network
 * again: two handlers that answer each other for ever slow nobody down.
 */
import type { ClockShape, TurnShape, TurnTask } from "../../core/mod.ts"

/** Has messages for the program. */
export interface Receiver {
  /** Hands out what waits now. Never throws. */
  handOutUnsafe(): void
}

export class Dispatcher implements TurnTask {
  readonly #turn: TurnShape
  readonly #clock: ClockShape
  #ready: Array<Receiver> = []
  #spare: Array<Receiver> = []
  #isScheduled = false
  #isHandingOut = false
  readonly #again = (): void => this.endTurn()

  constructor(turn: TurnShape, clock: ClockShape) {
    this.#turn = turn
    this.#clock = clock
  }

  /** Has `receiver` called once, at the end of this turn. */
  add(receiver: Receiver): void {
    this.#ready.push(receiver)
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#turn.deferOutput(this)
  }

  endTurn(): void {
    // A handler may close the broker, which hands out what waits: the round that it is called in does so already.
    if (this.#isHandingOut) return
    const ready = this.#ready
    this.#ready = this.#spare
    this.#spare = ready
    this.#isScheduled = true
    this.#isHandingOut = true
    for (let index = 0; index < ready.length; index++) ready[index]?.handOutUnsafe()
    this.#isHandingOut = false
    ready.length = 0
    this.#isScheduled = this.#ready.length > 0
    if (this.#isScheduled) this.#clock.immediate(this.#again)
  }
}
