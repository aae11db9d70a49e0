/**
 * What the sessions of one shard need of the queue logs: the lowest offset of each, so that the logs can be trimmed below.
 *
 * Invariants
 *  - The ends of the logs are asked for before the positions are read: a session that begins meanwhile begins at or above them, and
 *    nothing above them is given up.
 *  - Only positions that stand in rows count, of sessions in memory too: those are what a crash would go on from. What replays may lie below
 *    those ends and have rows that are written after they were read: it counts as it is in memory, and as it left that meanwhile.
 *  - One look at a time; one that failed has told the logs nothing, and the next comes as it would have.
 */
import { lowOf } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import type { DurableSession } from "./DurableSession.ts"
import { Passing } from "./replay/Passing.ts"
import { QUEUE } from "./replay/queue-history.ts"
import { decodeReplayPlace, ofReplayKey } from "./replay/replay-rows.ts"
import * as rows from "./session-rows.ts"
import { decodeGroup, groupRange } from "./shared/group-rows.ts"
import { readPages } from "./stored-sessions.ts"

/** Sessions whose positions are looked at a millisecond, over the time between two looks. */
const NEEDS_PER_MS = 2
const INTERVAL_MIN_MS = 1_000

export class QueueNeeds {
  readonly #broker: Broker
  /** Those in memory that outlive their connections. */
  readonly #residents: () => Iterable<DurableSession>
  readonly #passing: Passing
  /** Monotonic ms. */
  #dueMs = 0
  #isLooking = false
  /** What the look that is under way has found. */
  #lows: Array<number> = []

  constructor(broker: Broker, residents: () => Iterable<DurableSession>) {
    this.#broker = broker
    this.#residents = residents
    this.#passing = new Passing(broker)
  }

  /** Looks if it is time to, the less often the more sessions there are; `nowMs` is monotonic. */
  lookIfDue(nowMs: number, sessionCount: number): void {
    if (nowMs < this.#dueMs || this.#isLooking) return
    this.#dueMs = nowMs + Math.max(INTERVAL_MIN_MS, sessionCount / NEEDS_PER_MS)
    void this.look().catch(() => {})
  }

  /** A session leaves memory, and a look may have gone past its rows. */
  leaves(session: DurableSession): void {
    session.replays?.lowerNeeds(this.#lows)
  }

  /** Tells the queue logs the lowest offsets that any session of this shard needs; rejects where the rows cannot be read. */
  async look(): Promise<void> {
    const { queueLogs, store } = this.#broker.services
    this.#isLooking = true
    try {
      const lows = Array.from({ length: queueLogs.count }, () => Number.POSITIVE_INFINITY)
      this.#lows = lows
      // Sessions that begin from here on begin at or above these.
      const ends = await queueLogs.ends()
      const { local } = queueLogs
      for (const session of this.#residents()) session.feed.passed(local, ends[local] ?? 0)
      await this.#passing.look(ends)
      await readPages(store, rows.rangeOf("sp"), (page) => {
        for (const { value } of page) {
          for (const [log, { low }] of rows.decodePositions(value).entries()) lows[log] = Math.min(lows[log] ?? 0, low)
        }
      })
      await readPages(store, groupRange, (page) => {
        for (const { value } of page) {
          for (const [log, position] of decodeGroup(value).positions.entries()) {
            lows[log] = Math.min(lows[log] ?? 0, lowOf(position))
          }
        }
      })
      await readPages(store, rows.rangeOf("sc"), (page) => {
        for (const { key, value } of page) {
          const { topicId, partition } = ofReplayKey(key)
          if (topicId === QUEUE.id) lows[partition] = Math.min(lows[partition] ?? 0, decodeReplayPlace(value).offset)
        }
      })
      for (const session of this.#broker.sessions.resident()) session.replays?.lowerNeeds(lows)
      this.#broker.shared.lowerNeeds(lows)
      for (const [log, low] of lows.entries()) queueLogs.need(log, Math.min(low, ends[log] ?? 0))
    } finally {
      this.#isLooking = false
    }
  }
}
