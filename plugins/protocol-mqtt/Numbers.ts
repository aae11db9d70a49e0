/** Numbers that are never given twice, across restarts too: reserved in blocks, so that few of them cost a row. */
import type { JournalShape, KeyValueStoreShape } from "../../core/mod.ts"
import { decodeNumber, encodeNumber, numbersKey } from "./session-rows.ts"

const BLOCK = 1_000

export class Numbers {
  readonly #journal: JournalShape
  #next: number
  #reserved: number
  /** Of the last reservation; 0 = it is committed. */
  #ticket = 0

  constructor(journal: JournalShape, store: KeyValueStoreShape) {
    this.#journal = journal
    const value = store.get(numbersKey)
    this.#next = value === undefined ? 1 : decodeNumber(value)
    this.#reserved = this.#next
  }

  /** The next number; the row that reserves it stands in the same entry as its first use, or before. */
  take(): number {
    const { tickets } = this.#journal
    if (this.#ticket !== 0 && this.#ticket <= tickets.committed) {
      // One that was lost is written again before another number is used.
      if (tickets.takeOutcome(this.#ticket) < 0) this.#reserve()
      else this.#ticket = 0
    }
    if (this.#next === this.#reserved) {
      this.#reserved += BLOCK
      this.#reserve()
    }
    return this.#next++
  }

  #reserve(): void {
    this.#ticket = this.#journal.submit({ writes: [{ key: numbersKey, value: encodeNumber(this.#reserved) }] })
  }
}
