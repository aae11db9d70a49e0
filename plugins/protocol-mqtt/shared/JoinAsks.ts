/**
 * SUBSCRIBEs that wait until nothing that is published can miss their group.
 *
 * Invariant: they wait for what their group has told the shards, not for what others tell them meanwhile.
 */
import type { Broker } from "../Broker.ts"
import type { GroupVoice } from "./group-contract.ts"

export class JoinAsks {
  readonly #broker: Broker
  readonly #voice: GroupVoice
  /** Whether the group's row, where it needs one, is there. */
  readonly #isKept: () => boolean
  #asks: Array<{ readonly shard: number; readonly ask: number }> = []
  /** The router's, of what the group wants. */
  #ticket = 0
  #isWaiting = false

  constructor(broker: Broker, voice: GroupVoice, isKept: () => boolean) {
    this.#broker = broker
    this.#voice = voice
    this.#isKept = isKept
  }

  /** Nobody is answered before the router's `ticket`; 0 = none. */
  waitFor(ticket: number): void {
    this.#ticket = Math.max(this.#ticket, ticket)
  }

  add(shard: number, ask: number): void {
    this.#asks.push({ shard, ask })
  }

  /** Answers when every shard knows what is wanted and the row is there. */
  answerWhenKnown(): void {
    if (this.#asks.length === 0 || !this.#isKept()) return
    const { tickets } = this.#broker.services.router
    if (tickets.committed >= this.#ticket) this.answer(0)
    else if (!this.#isWaiting) {
      this.#isWaiting = true
      tickets.whenCommitted(this.#ticket, () => {
        this.#isWaiting = false
        this.answerWhenKnown()
      })
    }
  }

  answer(outcome: number): void {
    const asks = this.#asks
    this.#asks = []
    for (const { shard, ask } of asks) this.#voice.joined(shard, ask, outcome)
  }
}
