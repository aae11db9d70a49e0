/**
 * Messages of a group that no member has, in the order in which they are given.
 *
 * Invariant: of one queue log they stand by their offsets, also those that came back.
 */
import type { Held } from "./group-contract.ts"

export class WaitingLine {
  #messages: Array<Held> = []

  get length(): number {
    return this.#messages.length
  }

  at(place: number): Held | undefined {
    return this.#messages[place]
  }

  push(held: Held): void {
    this.#messages.push(held)
  }

  remove(place: number): void {
    this.#messages.splice(place, 1)
  }

  /** Puts in one that has come back, before those of its log that follow it. */
  putBack(held: Held): void {
    const messages = this.#messages
    let at = messages.length
    while (at > 0 && messages[at - 1]?.log === held.log && (messages[at - 1]?.offset ?? 0) > held.offset) at -= 1
    messages.splice(at, 0, held)
  }

  takeAll(): ReadonlyArray<Held> {
    const all = this.#messages
    this.#messages = []
    return all
  }
}
