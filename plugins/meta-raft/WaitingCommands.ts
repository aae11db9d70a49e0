/** Commands on their way, and who waits for their outcome, in the order of their entries. */
import { Effect } from "effect"
import { MetaStoreError } from "../../core/mod.ts"
import type { MetaOutcome } from "./MetaState.ts"

/** Commands that wait for their entries, at most. */
export const WAITING_MAX = 10_000

export type Resume = (outcome: Effect.Effect<MetaOutcome, MetaStoreError>) => void

export class WaitingCommands {
  #waiting: Array<{ readonly index: number; readonly resume: Resume }> = []

  get isFull(): boolean {
    return this.#waiting.length >= WAITING_MAX
  }

  /** Entries come in the order of their indexes. */
  add(index: number, resume: Resume): void {
    this.#waiting.push({ index, resume })
  }

  /** The entry was applied; nobody may wait for it. */
  applied(index: number, outcome: MetaOutcome): void {
    if (this.#waiting[0]?.index === index) this.#waiting.shift()?.resume(Effect.succeed(outcome))
  }

  fail(message: string): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { resume } of waiting) resume(Effect.fail(new MetaStoreError({ message })))
  }
}
