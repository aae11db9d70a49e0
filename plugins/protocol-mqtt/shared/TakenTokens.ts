/**
 * QoS 2 messages that durable sessions of this shard have taken from groups of other shards: kept until the group says that it knows.
 *
 * Invariants
 *  - A token's row is written in the turn in which the session's row says that it has the message.
 *  - After a failure of the journal it is written again in one entry with that session's rows.
 *  - The group is told when that is committed, and again at every start until it says that the token may go.
 */
import type { Broker } from "../Broker.ts"
import { TOKEN_VALUE, type Token, tokenKey } from "./group-rows.ts"

export class TakenTokens {
  readonly #broker: Broker
  readonly #tell: (token: Token) => void
  readonly #tokens = new Map<string, Token>()
  /** Those whose row was lost. */
  #lost: Array<Token> = []
  /** Those whose row is to go and did not. */
  #lostDrops: Array<Token> = []

  constructor(broker: Broker, tell: (token: Token) => void) {
    this.#broker = broker
    this.#tell = tell
  }

  /** One whose row is there. */
  add(token: Token): void {
    this.#tokens.set(keyOf(token), token)
  }

  has(token: Token): boolean {
    // Before the rows of the last run are read they are asked.
    return this.#tokens.has(keyOf(token)) || this.#broker.services.store.get(tokenKey(token)) !== undefined
  }

  tellAll(): void {
    for (const token of this.#tokens.values()) this.#tell(token)
  }

  take(token: Token): void {
    this.#broker.rewriteLost()
    this.add(token)
    this.#write(token)
  }

  /** Those whose rows were lost, with the sessions that have the messages. */
  rewrite(): void {
    const lost = this.#lost
    const drops = this.#lostDrops
    this.#lost = []
    this.#lostDrops = []
    for (const token of lost) this.#write(token)
    for (const token of drops) this.#drop(token)
  }

  #write(token: Token): void {
    const { journal } = this.#broker.services
    journal.submit({ writes: [{ key: tokenKey(token), value: TOKEN_VALUE }] })
    this.#broker.whenCommitted((outcome) => {
      if (outcome >= 0) this.#tell(token)
      else {
        this.#lost.push(token)
        this.#broker.rewriteLater(this)
      }
    })
  }

  forget(token: Token): void {
    if (this.#tokens.delete(keyOf(token))) this.#drop(token)
  }

  #drop(token: Token): void {
    this.#broker.services.journal.submit({ writes: [{ key: tokenKey(token), value: undefined }] })
    this.#broker.whenCommitted((outcome) => {
      if (outcome >= 0) return
      this.#lostDrops.push(token)
      this.#broker.rewriteLater(this)
    })
  }
}

function keyOf({ shard, number, log, offset }: Token): string {
  return `${shard}/${number}/${log}/${offset}`
}
