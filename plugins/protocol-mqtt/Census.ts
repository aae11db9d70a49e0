/**
 * What the sessions and connections of a shard hold together, counted at scrape: one walk over those in memory, so that nothing has to be
 * kept up to date with every message, and what is told is what is there.
 */
import type { Connection } from "./Connection.ts"
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
  #takenAtMs = Number.NEGATIVE_INFINITY

  /** Counts anew, unless that was done just now; `nowMs` is monotonic. */
  taken(nowMs: number, sessions: Iterable<Session>): this {
    if (nowMs - this.#takenAtMs < KEPT_MS) return this
    this.#takenAtMs = nowMs
    this.sessions = this.inFlight = this.received = this.aliases = 0
    for (const session of sessions) {
      this.sessions += 1
      this.inFlight += session.window?.count ?? 0
      this.received += session.receivedCount
      if (session.connection !== undefined) this.aliases += aliasesOf(session.connection)
    }
    return this
  }
}

function aliasesOf({ aliases, outboundAliases }: Connection): number {
  return (aliases?.count ?? 0) + (outboundAliases?.count ?? 0)
}
