/**
 * Sessions that have ended and whose rows are still there: for a moment, or until the journal takes their end.
 *
 * Invariants
 *  - From the moment it is added there is no such session, though its rows say so; a restart before their end is committed brings it
 *    back.
 *  - What it wanted of the router is taken back once, before its rows go.
 *  - It is forgotten when the end of its rows is committed; one that was lost is tried again.
 *  - The row in the directory is taken away only where no newer session of the client has it, or is about to.
 */
import { type KeyValueWrite, TicketFifo } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import * as rows from "./session-rows.ts"
import { readPages } from "./stored-sessions.ts"

interface Ended {
  readonly tenant: number
  readonly clientIdentifier: string
  readonly number: number
  /** 0 = it has no row that says when. */
  readonly expiresAtMs: number
  /** Whether the router still keeps messages for it. */
  isWanting: boolean
  /** Whether the end of its rows is on its way. */
  isEnding: boolean
}

export class EndedSessions {
  readonly #broker: Broker
  /** Whether a client has a durable session in memory. */
  readonly #isReplaced: (tenant: number, clientIdentifier: string) => boolean
  /** By number. */
  readonly #ended = new Map<number, Ended>()
  readonly #commits = new TicketFifo({
    released: (outcome, _kind, number) => this.#released(outcome, number),
    releasedAll: () => {}
  })

  constructor(broker: Broker, isReplaced: (tenant: number, clientIdentifier: string) => boolean) {
    this.#broker = broker
    this.#isReplaced = isReplaced
  }

  has(number: number): boolean {
    return this.#ended.has(number)
  }

  /** Ends a session's rows. `expiresAtMs` = 0: it has none that says when; `isWanting`: the router still keeps messages for it. */
  add(tenant: number, clientIdentifier: string, number: number, expiresAtMs: number, isWanting: boolean): void {
    const ended = { tenant, clientIdentifier, number, expiresAtMs, isWanting, isEnding: false }
    this.#ended.set(number, ended)
    this.#finish(ended)
  }

  /** Tries again where the end of rows was lost, or could not be read for. */
  retry(): void {
    for (const ended of this.#ended.values()) if (!ended.isEnding) this.#finish(ended)
  }

  /** Takes the rows of an ended session away; where that fails it is tried again. */
  #finish(ended: Ended): void {
    ended.isEnding = true
    if (!ended.isWanting) {
      this.#dropRows(ended)
      return
    }
    const { store, router } = this.#broker.services
    const filters: Array<string> = []
    const read = readPages(store, rows.rangeOf("ss", ended.number), (page) => {
      for (const { key, value } of page) {
        if (rows.qosOfSubscription(value) > 0) filters.push(rows.ofSubscriptionKey(key).filter)
      }
    })
    const done = (): void => {
      ended.isWanting = false
      for (const filter of filters) router.unwantUnsafe(filter)
      this.#dropRows(ended)
    }
    const failed = (): void => {
      ended.isEnding = false
    }
    read.then(done, failed)
  }

  #dropRows({ tenant, clientIdentifier, number, expiresAtMs }: Ended): void {
    const { journal, store } = this.#broker.services
    const writes: Array<KeyValueWrite> = ["ss", "sp", "si", "sr"].map((prefix) => {
      const { start, end } = rows.rangeOf(prefix, number)
      return { key: start, value: undefined, end }
    })
    if (expiresAtMs !== 0) writes.push({ key: rows.expiryKey(expiresAtMs, number), value: undefined })
    // The client may have another session by now, whose row has taken this one's place, or is about to.
    const key = rows.directoryKey(tenant, clientIdentifier)
    const value = store.get(key)
    const isOther = value !== undefined && rows.decodeSession(value).number !== number
    if (!this.#isReplaced(tenant, clientIdentifier) && !isOther) writes.push({ key, value: undefined })
    this.#commits.push(journal.tickets, journal.submit({ writes }), 0, number)
  }

  #released(outcome: number, number: number): void {
    const ended = this.#ended.get(number)
    if (outcome >= 0) this.#ended.delete(number)
    else if (ended !== undefined) ended.isEnding = false
  }
}
