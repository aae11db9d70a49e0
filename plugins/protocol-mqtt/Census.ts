/**
 * What the sessions and connections of a shard hold together, counted at scrape: one walk over those in memory, so that nothing has to be
 * kept up to date with every message, and what is told is what is there.
 */
import type { Connection } from "./Connection.ts"
import type { MessageQueue } from "./MessageQueue.ts"
import type { Session } from "./Session.ts"

/** What was counted is told again for so long, ms: the gauges of one scrape share a walk. */
const KEPT_MS = 100

export class Census {
  /** Sessions in memory. */
  sessions = 0
  /** QoS 1 and 2 messages that are in flight to clients. */
  inFlight = 0
  /** QoS 2 messages that were taken from clients and not released. */
  received = 0
  /** Topic aliases, either way. */
  aliases = 0
  /** Sessions for which messages wait in memory, and the most that wait for one. */
  waiting = 0
  longestQueue = 0
  /** When the oldest of all messages that wait in memory was published, ms since 1970; 0 = none waits. */
  oldestAtMs = 0
  #takenAtMs = Number.NEGATIVE_INFINITY

  /** Counts anew, unless that was done just now; `nowMs` is monotonic. */
  taken(nowMs: number, sessions: Iterable<Session>): this {
    if (nowMs - this.#takenAtMs < KEPT_MS) return this
    this.#takenAtMs = nowMs
    this.sessions =
      this.inFlight =
      this.received =
      this.aliases =
      this.waiting =
      this.longestQueue =
      this.oldestAtMs =
        0
    for (const session of sessions) {
      this.sessions += 1
      this.inFlight += session.window?.count ?? 0
      this.received += session.receivedCount
      if (session.connection !== undefined) this.aliases += aliasesOf(session.connection)
      this.#wait(session.queue)
    }
    return this
  }

  #wait(queue: MessageQueue | undefined): void {
    const oldest = queue?.oldest
    if (queue === undefined || oldest === undefined) return
    this.waiting += 1
    this.longestQueue = Math.max(this.longestQueue, queue.length)
    if (this.oldestAtMs === 0 || oldest.timestamp < this.oldestAtMs) this.oldestAtMs = oldest.timestamp
  }
}

function aliasesOf({ aliases, outboundAliases }: Connection): number {
  return (aliases?.count ?? 0) + (outboundAliases?.count ?? 0)
}
