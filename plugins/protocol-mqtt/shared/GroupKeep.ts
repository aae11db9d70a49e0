/** Has the queue logs keep what a group wants of QoS 1 and 2, and reads it from there. A group that replays wants only what no topic stores. */
import { lowOf, SharedCursor, type SharedPosition } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { askEnds } from "../log-ends.ts"
import { type FeedHost, GroupFeed } from "./GroupFeed.ts"
import type { GroupPlaces } from "./GroupPlaces.ts"

export class GroupKeep {
  readonly #broker: Broker
  readonly #places: GroupPlaces
  readonly #host: FeedHost
  readonly #tenant: number
  readonly #filter: string
  /** Where it begins when something is kept for it first; none = where the logs end then. */
  #start: ReadonlyArray<number>
  feed: GroupFeed | undefined
  isWanted = false

  constructor(
    broker: Broker,
    places: GroupPlaces,
    host: FeedHost,
    tenant: number,
    filter: string,
    start: ReadonlyArray<number>
  ) {
    this.#broker = broker
    this.#places = places
    this.#host = host
    this.#tenant = tenant
    this.#filter = filter
    this.#start = start
  }

  /** Reads on from these positions. */
  begin(positions: ReadonlyArray<SharedPosition>): void {
    const cursor = new SharedCursor(positions)
    this.#places.queue = cursor
    const isReplay = this.#places.replay !== undefined
    this.feed = new GroupFeed(this.#broker, cursor, this.#host, this.#tenant, this.#filter, isReplay)
  }

  /** Has messages kept; the router's ticket to wait for. `begun` is called where that is not known yet where to read from, when it is. */
  want(begun: () => void): number {
    const { router, queueLogs } = this.#broker.services
    this.isWanted = true
    const ticket = router.wantUnsafe(this.#filter, this.#places.replay !== undefined)
    if (this.feed !== undefined) return ticket
    // Asked behind the wish, so that what each log answers lies after what it had before it knew of this.
    askEnds(queueLogs, (ends) => {
      if (!this.isWanted || this.feed !== undefined) return
      this.begin(ends.map((end, log) => ({ next: this.#start[log] ?? end, open: [] })))
      this.#start = []
      begun()
    })
    return ticket
  }

  /** Lowers what is needed of each queue log to where it stands, or begins. */
  lowerNeeds(lows: Array<number>): void {
    const { queue } = this.#places
    const needs = queue === undefined ? this.#start : queue.state().map(lowOf)
    for (const [log, need] of needs.entries()) lows[log] = Math.min(lows[log] ?? 0, need)
  }

  /** Nothing is kept any more. */
  unwant(): void {
    if (this.isWanted) this.#broker.services.router.unwantUnsafe(this.#filter, this.#places.replay !== undefined)
    this.isWanted = false
    this.feed?.end()
    this.feed = undefined
    this.#places.queue = undefined
  }
}
