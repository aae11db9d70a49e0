/**
 * Sessions that have ended and whose rows are still there: for a moment, or until the journal takes their end.
 *
 * Invariants
 *  - From the moment it is added there is no such session, though its rows say so; a restart before their end is committed brings it
 *    back.
 *  - What it wanted of the router is taken back once, before its rows go.
 *  - It is forgotten when the end of its rows is committed; one that was lost is tried again.
 *  - The row in the directory is taken away only where no newer session of the client has it, or is about to.
 *  - Tokens of messages that its client never released are given back when the end of its rows is committed, not before: until then
 *    the session may come back, and its client send them again.
 */
import { type KeyValueWrite, TicketFifo } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import * as rows from "./session-rows.ts"
import { groupNameOf, isShared } from "./shared/Memberships.ts"
import { readPages } from "./stored-sessions.ts"

/** What has ended. */
export interface EndedSession {
  readonly tenant: number
  readonly clientIdentifier: string
  readonly number: number
  /** 0 = it has no row that says when. */
  readonly expiresAtMs: number
  /** Of a session that was in memory, which has left the router: what other shards hold of it. Undefined = its rows say what is left. */
  readonly tokens?: ReadonlyArray<string>
  /** Exclusive filters of one that was in memory. */
  readonly exclusive?: ReadonlyArray<string>
}

interface Ended extends Omit<EndedSession, "tokens" | "exclusive"> {
  /** Undefined while they have to be read, and the router still keeps messages for the session. */
  tokens: ReadonlyArray<string> | undefined
  exclusive: ReadonlyArray<string>
  /** Whether the end of its rows is on its way. */
  isEnding: boolean
}

/** What the router and other shards keep for a session that is rows alone. */
interface Left {
  readonly filters: ReadonlyArray<string>
  /** Of subscriptions that read what is stored. */
  readonly replays: ReadonlyArray<string>
  readonly exclusive: ReadonlyArray<string>
  /** Names of groups with the QoS that was granted. */
  readonly groups: ReadonlyArray<readonly [name: string, qos: number]>
  readonly tokens: ReadonlyArray<string>
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

  /** Sessions whose rows are still there. */
  get count(): number {
    return this.#ended.size
  }

  has(number: number): boolean {
    return this.#ended.has(number)
  }

  /** Ends a session's rows. */
  add(session: EndedSession): void {
    const ended = { tokens: undefined, exclusive: [], ...session, isEnding: false }
    this.#ended.set(session.number, ended)
    this.#finish(ended)
  }

  /** Tries again where the end of rows was lost, or could not be read for. */
  retry(): void {
    for (const ended of this.#ended.values()) if (!ended.isEnding) this.#finish(ended)
  }

  /** Takes the rows of an ended session away; where that fails it is tried again. */
  #finish(ended: Ended): void {
    ended.isEnding = true
    if (ended.tokens !== undefined) {
      this.#dropRows(ended)
      return
    }
    const { router } = this.#broker.services
    const done = ({ filters, replays, exclusive, groups, tokens }: Left): void => {
      ended.tokens = tokens
      ended.exclusive = exclusive
      for (const filter of filters) router.unwantUnsafe(filter)
      for (const filter of replays) router.unwantUnsafe(filter, true)
      for (const [name, qos] of groups) this.#broker.shared.away(ended.tenant, name, qos, -1)
      this.#dropRows(ended)
    }
    const failed = (): void => {
      ended.isEnding = false
    }
    this.#read(ended.number).then(done, failed)
  }

  /** What the rows of a session say that others keep for it. */
  async #read(number: number): Promise<Left> {
    const { store, shard } = this.#broker.services
    const filters: Array<string> = []
    const replays: Array<string> = []
    const exclusive: Array<string> = []
    const groups: Array<readonly [string, number]> = []
    const tokens: Array<string> = []
    await readPages(store, rows.rangeOf("ss", number), (page) => {
      for (const { key, value } of page) {
        const { filter } = rows.ofSubscriptionKey(key)
        const qos = rows.qosOfSubscription(value)
        if (rows.isExclusiveSubscription(value)) exclusive.push(filter)
        if (isShared(filter)) groups.push([groupNameOf(filter), qos])
        else if (rows.isReplaySubscription(value)) replays.push(filter)
        else if (qos > 0) filters.push(filter)
      }
    })
    await readPages(store, rows.rangeOf("sr", number), (page) => {
      for (const { key, value } of page) {
        if (rows.decodeReceived(value) >= 0) tokens.push(rows.tokenOf(shard.index, number, rows.identifierOfKey(key)))
      }
    })
    return { filters, replays, exclusive, groups, tokens }
  }

  #dropRows({ tenant, clientIdentifier, number, expiresAtMs }: Ended): void {
    const { journal, store } = this.#broker.services
    const writes: Array<KeyValueWrite> = []
    rows.dropNumbered(number, writes)
    if (expiresAtMs !== 0) writes.push({ key: rows.expiryKey(expiresAtMs, number), value: undefined })
    // The client may have a newer session by now, whose row has taken this one's place, or is about to. An older one's row may still be
    // there, too, until this one's was committed: numbers rise.
    const key = rows.directoryKey(tenant, clientIdentifier)
    const value = store.get(key)
    const isOther = value !== undefined && rows.decodeSession(value).number > number
    if (!this.#isReplaced(tenant, clientIdentifier) && !isOther) writes.push({ key, value: undefined })
    this.#commits.push(journal.tickets, journal.submit({ writes }), 0, number)
  }

  #released(outcome: number, number: number): void {
    const ended = this.#ended.get(number)
    if (ended === undefined) return
    if (outcome < 0) {
      ended.isEnding = false
      return
    }
    this.#ended.delete(number)
    const { tenant, clientIdentifier } = ended
    for (const filter of ended.exclusive) {
      this.#broker.exclusive.release(tenant, filter, { clientIdentifier, session: String(number) })
    }
    // One that cannot be given back now, or after a crash, stays: it is a short row, and no other message has its name.
    for (const token of ended.tokens ?? []) this.#broker.services.ingress.giveBackToken(token, () => {})
  }
}
