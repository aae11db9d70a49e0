/** The rows of a durable session's subscriptions, whichever kind they are: ordinary, shared, or reading what is stored. */

import type { KeyValueWrite } from "../../core/mod.ts"
import type { DurableSession } from "./DurableSession.ts"
import type { KeptSubscriptions } from "./KeptSubscriptions.ts"
import { replayRow } from "./replay/Replays.ts"
import * as replayRows from "./replay/replay-rows.ts"
import type { Subscribed, Wish } from "./SubscribingSession.ts"
import * as rows from "./session-rows.ts"
import { isShared, type Join, rowOf } from "./shared/Memberships.ts"

export class SubscriptionRows {
  readonly #session: DurableSession
  readonly #kept: KeptSubscriptions
  /** Ordinary ones that were replays: the rows of their places go in the entry of their own rows, which may be later. */
  #former: Set<string> | undefined

  constructor(session: DurableSession, kept: KeptSubscriptions) {
    this.#session = session
    this.#kept = kept
  }

  /** One was made or replaced; `wasReplay` is of the one before it. */
  subscribed(wish: Wish, made: Subscribed, isReplay: boolean, wasReplay: boolean): Subscribed {
    const hasPlaces = wasReplay || this.#former?.has(wish.filter) === true
    const drop = replayRows.dropReplay(this.#session.number, wish.filter)
    if (!isReplay) {
      if (!hasPlaces) return this.#kept.add(wish, made)
      this.#former ??= new Set()
      this.#former.add(wish.filter)
      return this.#kept.add(wish, made, drop)
    }
    this.#former?.delete(wish.filter)
    if (hasPlaces) this.#submit(drop)
    this.#kept.remove(wish.filter)
    this.#submit(replayRow(this.#session.number, wish, this.#session.namesOf(wish.filter)))
    return made
  }

  shared(wish: Wish): void {
    this.#submit(rowOf(this.#session.number, wish, this.#session.namesOf(wish.filter)))
  }

  /** Of one whose group replays: its row is written when the group has it, and the session stays in memory until then. */
  joining(wish: Wish, join: Join): Join {
    if (join.isClaimed !== true) return join
    const { broker } = this.#session
    const keep = (done: (outcome: number) => void): void => {
      this.shared(wish)
      broker.whenCommitted((outcome) => {
        done(outcome)
        if (this.#session.connection === undefined && this.#session.leftAtMs !== 0) broker.sessions.leave(this.#session)
      })
    }
    return { ...join, keep }
  }

  /** One was taken off. */
  unsubscribed(filter: string, wasReplay: boolean): void {
    const { number } = this.#session
    const isFormer = this.#former?.delete(filter) === true
    if (wasReplay || isFormer) this.#submit(replayRows.dropReplay(number, filter))
    if (wasReplay || isShared(filter)) this.#submit({ key: rows.subscriptionKey(number, filter), value: undefined })
    else this.#kept.remove(filter)
  }

  /** One that stays has other names. */
  renamed(filter: string): void {
    const { number, shares, replays } = this.#session
    const names = this.#session.namesOf(filter)
    const shared = shares?.wishOf(filter)
    if (shared !== undefined) this.#submit(rowOf(number, shared, names))
    else if (replays?.has(filter) !== true) this.#kept.changed(filter)
    else
      for (const wish of this.#session.wishes())
        if (wish.filter === filter) this.#submit(replayRow(number, wish, names))
  }

  /** All of them. */
  collect(writes: Array<KeyValueWrite>): void {
    const session = this.#session
    const namesOf = (filter: string): ReadonlyArray<string> => session.namesOf(filter)
    this.#kept.collect(writes)
    session.shares?.collect(session.number, writes, namesOf)
    session.replays?.collectAll(session.number, writes, session.wishes(), namesOf)
  }

  #submit(write: KeyValueWrite): void {
    this.#session.broker.services.journal.submit({ writes: [write] })
    this.#session.mark()
  }
}
