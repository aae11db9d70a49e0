/**
 * Retained messages as their publishers know them: each name has one writer, so that what may be retained is a run of its values,
 * from the newest that was acknowledged to the newest that was sent.
 */
import { matches } from "./matches.ts"
import { RETAINED_NAMES } from "./Scenario.ts"
import type { SimMessage, World } from "./World.ts"

/** A value that was written to a name; no message = cleared. */
export interface RetainedWrite {
  /** The number of the message; of a clearing one between those before and after it. */
  readonly id: number
  readonly message: SimMessage | undefined
  isAcknowledged: boolean
}

export class RetainedModel {
  readonly #writes = new Map<string, Array<RetainedWrite>>(RETAINED_NAMES.map((name) => [name, []]))
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  isRetainedName(name: string): boolean {
    return this.#writes.has(name)
  }

  /** A retained message (undefined = an empty one) is about to be sent. */
  writing(name: string, message: SimMessage | undefined): RetainedWrite {
    const write = { id: message?.id ?? this.#world.messages.length + 0.5, message, isAcknowledged: false }
    this.#writes.get(name)?.push(write)
    return write
  }

  /** The values that may be retained under `name` now: the newest acknowledged one and all after it. */
  candidates(name: string): ReadonlyArray<RetainedWrite> {
    const writes = this.#writes.get(name) ?? []
    const newest = writes.findLastIndex(({ isAcknowledged }) => isAcknowledged)
    return writes.slice(Math.max(0, newest))
  }

  /** Whether the name may have no retained message. */
  mayBeEmpty(name: string): boolean {
    const candidates = this.candidates(name)
    return candidates[0]?.isAcknowledged !== true || candidates.some(({ message }) => message === undefined)
  }

  /** The lowest message number that a replay of each name may have, for the names that `filter` matches. */
  floors(filter: string): ReadonlyMap<string, number> {
    const floors = new Map<string, number>()
    for (const name of this.#writes.keys()) {
      const first = this.candidates(name)[0]
      if (first?.isAcknowledged === true && matches(filter, name)) floors.set(name, first.id)
    }
    return floors
  }
}
