/**
 * Retained messages as their publishers know them: each name has one writer and one QoS, so that what may be retained is a run of its
 * values, from the newest that was acknowledged to the newest that was sent. A restart changes nothing of that.
 */
import type { Ledger, Message } from "./Ledger.ts"
import { covers } from "./SessionModel.ts"

/** A value that was written to a name; no message = cleared. */
export interface RetainedWrite {
  /** The number of the message; of a clearing one between those before and after it. */
  readonly id: number
  readonly message: Message | undefined
  isAcknowledged: boolean
}

export class RetainedModel {
  readonly #writes: ReadonlyMap<string, Array<RetainedWrite>>
  readonly #ledger: Ledger

  constructor(ledger: Ledger, names: ReadonlyArray<string>) {
    this.#ledger = ledger
    this.#writes = new Map(names.map((name) => [name, []]))
  }

  get names(): ReadonlyArray<string> {
    return [...this.#writes.keys()]
  }

  isRetainedName(name: string): boolean {
    return this.#writes.has(name)
  }

  /** A retained message (undefined = an empty one) is about to be sent for the first time. */
  writing(name: string, message: Message | undefined): RetainedWrite {
    const write = { id: message?.id ?? this.#ledger.messages.length + 0.5, message, isAcknowledged: false }
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

  /** The lowest message number that a replay of each name may have, for the names that `filter` covers. */
  floors(filter: string): ReadonlyMap<string, number> {
    const floors = new Map<string, number>()
    for (const name of this.#writes.keys()) {
      const first = this.candidates(name)[0]
      if (first?.isAcknowledged === true && covers(filter, name)) floors.set(name, first.id)
    }
    return floors
  }

  /** What was found retained under a name by somebody who asked while nobody wrote: message numbers, in the order they came. */
  found(name: string, ids: ReadonlyArray<number>): void {
    const candidates = this.candidates(name)
    const possible = candidates.flatMap(({ message }) => (message === undefined ? [] : [message.id]))
    const show = (list: ReadonlyArray<number>): string => (list.length === 0 ? "nothing" : `#${list.join(", #")}`)
    this.#ledger.counts.retained += 1
    const [id] = ids
    if (id === undefined) {
      this.#ledger.check(
        this.mayBeEmpty(name),
        () => `nothing is retained on "${name}", acknowledged was ${show(possible.slice(0, 1))}`
      )
      return
    }
    this.#ledger.check(
      ids.length === 1 && possible.includes(id),
      () => `retained on "${name}" is ${show(ids)}, it can be ${show(possible)}`
    )
  }
}
