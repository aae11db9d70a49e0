/**
 * The replays of one session, by filter; of one that is kept with their rows.
 *
 * Row `ss` says that a subscription is one; `sc` where it is in each partition, written in the entry in which what it has sent is, too.
 */

import type { KeyValueWrite, RouterShape } from "../../../core/mod.ts"
import type { Wish } from "../SubscribingSession.ts"
import * as rows from "../session-rows.ts"
import type { RestingPlace } from "./Cursor.ts"
import type { Replay } from "./Replay.ts"
import * as replayRows from "./replay-rows.ts"

export class Replays {
  readonly #byFilter = new Map<string, Replay>()
  readonly #router: Pick<RouterShape, "unwantUnsafe">

  /** Each has the queue logs keep what no topic stores; that is told to the router where it is made, and taken back here. */
  constructor(router: Pick<RouterShape, "unwantUnsafe">) {
    this.#router = router
  }

  get count(): number {
    return this.#byFilter.size
  }

  has(filter: string): boolean {
    return this.#byFilter.has(filter)
  }

  add(filter: string, replay: Replay): void {
    this.#byFilter.set(filter, replay)
  }

  /** A subscription is taken off, or becomes another one. */
  end(filter: string): void {
    const replay = this.#byFilter.get(filter)
    if (replay === undefined) return
    replay.end()
    this.#byFilter.delete(filter)
    this.#router.unwantUnsafe(filter, true)
  }

  endAll(): void {
    for (const filter of [...this.#byFilter.keys()]) this.end(filter)
  }

  /** Lowers what is needed of each queue log to where they are. */
  lowerNeeds(lows: Array<number>): void {
    for (const replay of this.#byFilter.values()) replay.lowerNeeds(lows)
  }

  /** See {@link Replay.resting}. */
  resting(found: Map<string, RestingPlace>): void {
    for (const replay of this.#byFilter.values()) replay.resting(found)
  }

  /** See {@link Replay.readAgain}. */
  readAgain(): void {
    for (const replay of this.#byFilter.values()) replay.readAgain()
  }

  /** See {@link Replay.passOn}. */
  passOn(ends: ReadonlyMap<string, number>): void {
    for (const replay of this.#byFilter.values()) replay.passOn(ends)
  }

  attach(): void {
    for (const replay of this.#byFilter.values()) replay.start()
  }

  /** Partitions that all of them read, but the one that `filter` has. */
  partitionCountBut(filter: string): number {
    let count = 0
    for (const [each, replay] of this.#byFilter) if (each !== filter) count += replay.partitionCount
    return count
  }

  detach(): void {
    for (const replay of this.#byFilter.values()) replay.detach()
  }

  /** There may be room for more. Each is asked first in its turn. */
  go(): void {
    for (const replay of [...this.#byFilter.values()]) replay.go()
    const [first] = this.#byFilter
    if (first === undefined || this.#byFilter.size === 1) return
    this.#byFilter.delete(first[0])
    this.#byFilter.set(first[0], first[1])
  }

  /** The places that have moved, as rows. */
  collect(number: number, writes: Array<KeyValueWrite>): void {
    for (const [filter, replay] of this.#byFilter) {
      for (const { topic, partition } of replay.takeGone()) {
        writes.push({ key: replayRows.replayKey(number, filter, topic.id, partition), value: undefined })
      }
      for (const place of replay.takeMoved()) writes.push(replayRows.rowOfPlace(number, filter, place))
    }
  }

  /** All rows: those of the subscriptions and of where they are. */
  collectAll(
    number: number,
    writes: Array<KeyValueWrite>,
    wishes: Iterable<Wish>,
    namesOf: (filter: string) => ReadonlyArray<string>
  ): void {
    for (const wish of wishes) {
      const replay = this.#byFilter.get(wish.filter)
      if (replay === undefined) continue
      writes.push(replayRow(number, wish, namesOf(wish.filter)))
      for (const place of replay.places()) writes.push(replayRows.rowOfPlace(number, wish.filter, place))
    }
  }
}

/** The row of a subscription that is a replay. */
export function replayRow(number: number, wish: Wish, asked: ReadonlyArray<string>): KeyValueWrite {
  const value = rows.encodeSubscription({ ...wish, asked, replay: true, since: [] })
  return { key: rows.subscriptionKey(number, wish.filter), value }
}
